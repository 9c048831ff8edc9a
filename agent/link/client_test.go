package link_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/link"
	"github.com/periplus-fleet/periplus/agent/link/session"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// hub is one that welcomes, acknowledges and counts.
type hub struct {
	linkv1.UnimplementedLinkServer
	mu      sync.Mutex
	reports map[string]int
	last    map[string]*linkv1.BundleStatus
}

func (h *hub) Connect(stream grpc.BidiStreamingServer[linkv1.AgentMessage, linkv1.HubMessage]) error {
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		var answer *linkv1.HubMessage
		switch {
		case message.GetHello() != nil:
			answer = &linkv1.HubMessage{Message: &linkv1.HubMessage_Welcome{Welcome: &linkv1.Welcome{Protocol: 1, FleetId: "f", Epoch: "e", Session: 1}}}
		case message.GetStatus() != nil:
			h.mu.Lock()
			for _, status := range message.GetStatus().GetBundles() {
				h.reports[status.GetBundle()]++
				h.last[status.GetBundle()] = status
			}
			h.mu.Unlock()
			answer = &linkv1.HubMessage{Message: &linkv1.HubMessage_StatusAck{StatusAck: &linkv1.StatusAck{Sequence: message.GetStatus().GetSequence()}}}
		default:
			continue
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (h *hub) seen(bundle string) (reports int, last string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reports[bundle], h.last[bundle].GetMessage()
}

// self is the agent: it trusts whom it meets, and has nothing.
type self struct{ endpoint string }

func (s self) TLS() *tls.Config                                       { return &tls.Config{InsecureSkipVerify: true} }
func (s self) Endpoints() []string                                    { return []string{s.endpoint} }
func (self) Learn(context.Context, []byte, []string) error            { return nil }
func (self) Rejected(context.Context) error                           { return nil }
func (self) Accepted() desired.Set                                    { return desired.Set{FleetID: "f"}.Clone() }
func (self) Put(context.Context, map[string][]byte) error             { return nil }
func (self) Accept(context.Context, desired.Set) error                { return nil }
func (self) Incomplete(context.Context) ([]*linkv1.Entry, error)      { return nil, nil }
func (self) Refill(context.Context, []string) error                   { return nil }
func (self) Do(context.Context, *linkv1.Command) error                { return nil }
func (self) Missing(context.Context, *linkv1.Entry) ([]string, error) { return nil, nil }

func TestARolloutIsAFewMessagesASecond(t *testing.T) {
	// The certificate that net/http tests with serves as well.
	web := httptest.NewTLSServer(nil)
	web.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates})))
	h := &hub{reports: map[string]int{}, last: map[string]*linkv1.BundleStatus{}}
	linkv1.RegisterLinkServer(server, h)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	me := self{listener.Addr().String()}
	client := link.New(link.Config{Identity: me, Keeper: me, Commands: me, MinBackoff: time.Millisecond, Session: session.Config{AgentVersion: "test", Instance: "i", Fingerprint: "here"}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the link ended: %v", err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("the hub ended: %v", err)
		}
	}()
	until(t, "the hub welcomes the agent", client.Connected)
	// Of a Deployment of 100 pods each changes its status a few times.
	const changes = 400
	started := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range changes {
		<-tick.C
		client.Report(&linkv1.BundleStatus{Bundle: "fleet/a", State: linkv1.State_STATE_PROGRESSING, Message: fmt.Sprintf("%d of %d", i+1, changes)})
	}
	rolled := time.Since(started)
	until(t, "the last status arrives", func() bool { _, last := h.seen("fleet/a"); return last == fmt.Sprintf("%d of %d", changes, changes) })
	reports, _ := h.seen("fleet/a")
	t.Logf("%d changes in %s were %d messages", changes, rolled.Round(time.Millisecond), reports)
	if most := 3 + int(rolled/(500*time.Millisecond)) + 2; reports > most {
		t.Errorf("%d messages, want at most %d", reports, most)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
