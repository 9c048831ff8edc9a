package statusapi

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/ask"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// agents answer every question with the same parts.
type agents struct {
	parts []*linkv1.QueryResult
	err   error
	asked *linkv1.Query
	// endless goes on until nobody waits, and says so in gone.
	endless bool
	gone    chan struct{}
}

func (a *agents) Ask(ctx context.Context, _ string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error {
	a.asked = query
	for _, part := range a.parts {
		if err := take(part); err != nil {
			return err
		}
	}
	for a.endless {
		if err := take(&linkv1.QueryResult{Lines: []*linkv1.LogLine{{Text: "again"}}}); err != nil || ctx.Err() != nil {
			close(a.gone)
			return ctx.Err()
		}
	}
	return a.err
}

// deliver gives cluster team-a/one a bundle with one object.
func (r *rig) deliver(t *testing.T) {
	t.Helper()
	object := []byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`)
	manifest := content.Manifest{DefaultNamespace: "shop", Items: []content.Item{{ObjectID: content.ObjectID{Group: "apps", Kind: "Deployment", Name: "web"}, Phase: 5, Digest: content.Sum(object)}}}
	revision, err := r.store.PutRevision(t.Context(), manifest, map[content.Digest][]byte{content.Sum(object): object})
	if err != nil {
		t.Fatal(err)
	}
	term, _, err := r.store.Lead(t.Context(), "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	assignment := &delivery.Assignment{Revision: revision, Commit: "abc"}
	err = r.store.Apply(t.Context(), term, []store.Change{{ClusterUID: clusterUID("team-a", "one"), Bundle: "team-a/web", Target: assignment, Assigned: assignment}})
	if err != nil {
		t.Fatal(err)
	}
}

const livePath = "/api/v1/namespaces/team-a/clusters/one/deliveries/web/live/"

func TestLive(t *testing.T) {
	r := newRig(t)
	r.deliver(t)
	web := &linkv1.ObjectId{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	pod := &linkv1.ObjectId{Kind: "Pod", Namespace: "shop", Name: "web-1"}
	now := timestamppb.Now()
	cases := map[string]struct {
		reason string
		path   string
		token  string
		agents agents
		status int
		want   string
	}{
		"Object": {"its states are JSON", "object?kind=Deployment&name=web", "admin-token", agents{parts: []*linkv1.QueryResult{{Objects: []*linkv1.ObjectView{{Id: web, Live: []byte(`{"spec":{"replicas":2}}`)}}}}}, 200, "map[replicas:2]"},
		"Diff":   {"", "diff", "admin-token", agents{parts: []*linkv1.QueryResult{{Diffs: []*linkv1.ObjectDiff{{Id: web, Action: "change"}}}, {Truncated: true}}}, 200, "truncated:true"},
		"Tree": {"depths come of parents", "tree", "admin-token", agents{parts: []*linkv1.QueryResult{{Nodes: []*linkv1.TreeNode{{Id: web, Uid: "1"}}}, {Nodes: []*linkv1.TreeNode{{Id: pod, Uid: "2", Parent: "1", Health: "failed"}}}}}, 200,
			"depth:1 health:failed"},
		"Events":   {"", "events?limit=7", "admin-token", agents{parts: []*linkv1.QueryResult{{Events: []*linkv1.ClusterEvent{{About: pod, Reason: "BackOff", Last: now}}}}}, 200, "reason:BackOff"},
		"Why":      {"", "why", "admin-token", agents{parts: []*linkv1.QueryResult{{Findings: []*linkv1.Finding{{Id: web, Cause: pod, Message: "no image"}}}}}, 200, "message:no image"},
		"Denied":   {"content needs a right of its own", "object?kind=Deployment&name=web", "dev-token", agents{}, 403, "get objects/content"},
		"NoLogs":   {"logs too", "logs?kind=Deployment&name=web", "dev-token", agents{}, 403, "get objects/logs"},
		"Disabled": {"the agent's words come through", "diff", "admin-token", agents{parts: []*linkv1.QueryResult{{Last: true, Error: &linkv1.QueryError{Code: "disabled", Message: "switched off"}}}}, 403, "switched off"},
		"Nobody":   {"", "object?kind=Pod&name=x", "admin-token", agents{parts: []*linkv1.QueryResult{{Last: true, Error: &linkv1.QueryError{Code: "not-found", Message: "is not there"}}}}, 404, "is not there"},
		"NoName":   {"half an object is none", "tree?kind=Pod", "admin-token", agents{}, 400, "both or neither"},
		"NoObject": {"", "object", "admin-token", agents{}, 400, "kind: required"},
		"Away":     {"an agent that is not there cannot be asked", "events", "admin-token", agents{err: ask.ErrOffline}, 503, "never connected"},
		"BadSince": {"", "logs?kind=Pod&name=x&since=yesterday", "admin-token", agents{}, 400, "10m"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r.agents = c.agents
			status, body := r.call(t, "GET", livePath+c.path, c.token, "")
			if text := strings.ReplaceAll(flat(body), "  ", " "); status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%s: %d %s, want %d %s", c.reason, status, text, c.status, c.want)
			}
		})
	}
}

func TestLiveOfAClusterThatIsAway(t *testing.T) {
	r := newRig(t)
	r.deliver(t)
	session, err := r.store.ClaimSession(t.Context(), clusterUID("team-a", "one"), "p", "i")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.ReleaseSession(t.Context(), clusterUID("team-a", "one"), session); err != nil {
		t.Fatal(err)
	}
	r.agents = agents{err: ask.ErrOffline}
	status, body := r.call(t, "GET", livePath+"tree", "admin-token", "")
	if text := flat(body); status != http.StatusOK || !strings.Contains(text, "name:web") || body["staleSeconds"] == "0" {
		t.Errorf("%d %s", status, text)
	}
	if status, body = r.call(t, "GET", livePath+"why", "admin-token", ""); status != http.StatusOK || body["staleSeconds"] == "0" {
		t.Errorf("%d %s", status, flat(body))
	}
	if status, body = r.call(t, "GET", livePath+"events", "admin-token", ""); status != http.StatusServiceUnavailable || !strings.Contains(flat(body), "is away since") {
		t.Errorf("%d %s", status, flat(body))
	}
}

func TestLogsStreamUntilNobodyReads(t *testing.T) {
	r := newRig(t)
	r.deliver(t)
	r.agents = agents{endless: true, gone: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+livePath+"logs?kind=Deployment&name=web&follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer admin-token")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || !strings.Contains(strings.ReplaceAll(line, " ", ""), `{"result":{"lines":[{"text":"again"}]}}`) {
		t.Errorf("%q, %v", line, err)
	}
	cancel()
	select {
	case <-r.agents.gone:
	case <-time.After(10 * time.Second):
		t.Error("the agent goes on though nobody reads")
	}
	_, body := r.call(t, "GET", "/api/v1/audit?namespace=team-a", "admin-token", "")
	if text := flat(body); !strings.Contains(text, "objects/logs") {
		t.Errorf("who read the logs is not recorded: %s", text)
	}
}

func flat(body map[string]any) string { return fmt.Sprint(body) }
