package faults_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// proxy stands between the agent and its API server, on whose behalf it does harm. It speaks HTTP/2 as the server does.
type proxy struct {
	server *httptest.Server

	mu sync.Mutex
	// judge sees each request before it is passed on; true says that it answered itself.
	judge func(w http.ResponseWriter, r *http.Request) bool
	// after sees each request once the API server carried it out, before its answer goes back.
	after func(r *http.Request)
	seen  []request
	deaf  bool
	heals chan struct{}
}

type request struct {
	method, path string
	at           time.Time
}

func newProxy(t *testing.T, to *rest.Config) *proxy {
	t.Helper()
	transport, err := rest.TransportFor(to)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(to.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{heals: make(chan struct{})}
	reverse := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1,
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error { p.done(r.Request); return nil },
		// An API server that is away is a connection that breaks.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.take(w, r) {
			reverse.ServeHTTP(w, r)
		}
	}))
	p.server.Listener = listener{p.server.Listener, p}
	p.server.EnableHTTP2 = true
	p.server.StartTLS()
	t.Cleanup(func() {
		p.hear()
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

func (p *proxy) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

func (p *proxy) take(w http.ResponseWriter, r *http.Request) bool {
	p.mu.Lock()
	p.seen = append(p.seen, request{r.Method, r.URL.Path, time.Now()})
	judge := p.judge
	p.mu.Unlock()
	return judge != nil && judge(w, r)
}

func (p *proxy) done(r *http.Request) {
	p.mu.Lock()
	after := p.after
	p.mu.Unlock()
	if after != nil {
		after(r)
	}
}

// harm sets what is done to requests from now on; nil for nothing.
func (p *proxy) harm(judge func(http.ResponseWriter, *http.Request) bool, after func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge, p.after = judge, after
}

// requests are those that came since the last time, and that match.
func (p *proxy) requests(matches func(request) bool) (found []request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.seen {
		if matches(r) {
			found = append(found, r)
		}
	}
	p.seen = nil
	return found
}

// deafen holds up every byte, both ways, as a network does that drops packets; hear ends it.
func (p *proxy) deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = true
}

func (p *proxy) hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf {
		p.deaf = false
		close(p.heals)
		p.heals = make(chan struct{})
	}
}

func (p *proxy) wait() {
	p.mu.Lock()
	deaf, heals := p.deaf, p.heals
	p.mu.Unlock()
	if deaf {
		<-heals
	}
}

// cut breaks all connections.
func (p *proxy) cut() { p.server.CloseClientConnections() }

type listener struct {
	net.Listener
	p *proxy
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c, l.p}, nil
}

type conn struct {
	net.Conn
	p *proxy
}

func (c conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.p.wait()
	return n, err
}

func (c conn) Write(b []byte) (int, error) {
	c.p.wait()
	return c.Conn.Write(b)
}

// writes says that a request may change something.
func writes(r *http.Request) bool { return r.Method != http.MethodGet }

// writesTenant says that a request may change what bundles bring, and not the agent's own Secrets.
func writesTenant(r request) bool {
	return r.method != http.MethodGet && !strings.Contains(r.path, "/periplus-system/")
}
