package root

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

// hub is a status API with one repo, two clusters on two pages, and three deliveries.
type hub struct {
	statusv1.UnimplementedFleetServer
	heldToo bool
}

func (h hub) ListClusters(_ context.Context, request *statusv1.ListRequest) (*statusv1.ListClustersResponse, error) {
	if request.GetCursor() == "" {
		return &statusv1.ListClustersResponse{Items: []*statusv1.Cluster{{Namespace: "fleet", Name: "eu-1", State: "Ready"}}, Next: "more", Total: 2}, nil
	}
	return &statusv1.ListClustersResponse{Items: []*statusv1.Cluster{{Namespace: "fleet", Name: "eu-2", State: "Unknown"}}, Total: 2}, nil
}

func (h hub) GetRepo(context.Context, *statusv1.GetRequest) (*statusv1.Repo, error) {
	return &statusv1.Repo{Namespace: "fleet", Name: "fleet", Commit: "aaaaaaaaaa", FetchedCommit: "bbbbbbbbbb",
		Conditions: []*statusv1.Condition{{Type: "Stalled", Status: "True", Message: "history was rewritten"}}}, nil
}

func (h hub) ListDeliveries(context.Context, *statusv1.ListRequest) (*statusv1.ListDeliveriesResponse, error) {
	out := &statusv1.ListDeliveriesResponse{Items: []*statusv1.Delivery{{Cluster: "eu-1", Bundle: "fleet/a", State: "Ready", Counts: &statusv1.Counts{}}}}
	if h.heldToo {
		out.Items = append(out.Items, &statusv1.Delivery{Cluster: "eu-1", Bundle: "fleet/b", State: "Held", Reason: "Held", Message: "policy p denies it"})
	}
	return out, nil
}

func (h hub) GetBundle(_ context.Context, request *statusv1.GetRequest) (*statusv1.Bundle, error) {
	return nil, status.Errorf(codes.NotFound, "no bundle %q", request.GetName())
}

func (h hub) CreateJoinToken(_ context.Context, request *statusv1.CreateJoinTokenRequest) (*statusv1.CreateJoinTokenResponse, error) {
	return &statusv1.CreateJoinTokenResponse{Token: "pj1.secret", Endpoints: []string{"hub.example.com:7443"}, CaHash: "sha256:abc", Expires: timestamppb.Now()}, nil
}

func serve(t *testing.T, h hub) (flags []string) {
	mux := runtime.NewServeMux()
	if err := statusv1.RegisterFleetHandlerServer(t.Context(), mux, h); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":16,"message":"not signed in"}`))
			return
		}
		if !logsOf(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--server", server.URL, "--certificate-authority", ca}
}

func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := Command()
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		stderr.WriteString(err.Error())
	}
	return client.ExitCode(err), stdout.String(), stderr.String()
}

func TestCommands(t *testing.T) {
	held := hub{heldToo: true}
	cases := map[string]struct {
		reason string
		hub    hub
		token  string
		args   []string
		code   int
		out    string
		errs   string
	}{
		"ListPiped":      {"a piped list has no header and follows the pages", hub{}, "good", []string{"get", "clusters"}, 0, "fleet\teu-1\tReady\t-\t0/0\t-\t-\nfleet\teu-2\tUnknown\t-\t0/0\t-\t-\n", ""},
		"NotSignedIn":    {"an unknown token is exit code 4", hub{}, "bad", []string{"get", "clusters"}, client.ExitNotSignedIn, "", "not signed in"},
		"NoToken":        {"so is none", hub{}, "", []string{"get", "clusters"}, client.ExitNotSignedIn, "", "--token"},
		"UnknownWord":    {"a wrong word is wrong usage", hub{}, "good", []string{"get", "colours"}, client.ExitUsage, "", "colours"},
		"UnknownFlag":    {"so is a wrong flag", hub{}, "good", []string{"get", "clusters", "--colour"}, client.ExitUsage, "", "--help"},
		"MissingName":    {"and a missing argument", hub{}, "good", []string{"describe", "bundle"}, client.ExitUsage, "", "--help"},
		"BadFormat":      {"and a format that there is not", hub{}, "good", []string{"get", "clusters", "-o", "xml"}, client.ExitUsage, "", "json or yaml"},
		"Failed":         {"what the hub refuses fails with its words", hub{}, "good", []string{"describe", "bundle", "x"}, client.ExitFailed, "", `no bundle "x"`},
		"Done":           {"wait ends when everything is ready", hub{}, "good", []string{"wait", "--commit", "aaaaaaaaaa"}, 0, "1 of 1 deliveries ready\n", ""},
		"Held":           {"a held delivery fails the wait and says why", held, "good", []string{"wait"}, client.ExitFailed, "", "policy p denies it"},
		"HeldIsDone":     {"unless that counts as done", held, "good", []string{"wait", "--held-is-done"}, 0, "1 of 2 deliveries ready, 1 held\n", ""},
		"Refused":        {"a commit that is refused whole does not keep one waiting", hub{}, "good", []string{"wait", "--commit", "bbbbbbbbbb"}, client.ExitFailed, "", "history was rewritten"},
		"Pending":        {"a commit that does not come is pending", hub{}, "good", []string{"wait", "--commit", "cccccccccc", "--timeout", "1ms"}, client.ExitPending, "", "not ready within"},
		"WhyNoCluster":   {"why needs a cluster", hub{}, "good", []string{"why", "a"}, client.ExitUsage, "", "--cluster"},
		"ConfirmNothing": {"confirm says what it needs", hub{}, "good", []string{"confirm"}, client.ExitUsage, "", "periplus get holds"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			flags := serve(t, tc.hub)
			if tc.token != "" {
				flags = append(flags, "--token", tc.token)
			}
			code, out, errs := run(t, append(tc.args, flags...)...)
			if code != tc.code || (tc.out != "" && out != tc.out) || !strings.Contains(errs, tc.errs) {
				t.Errorf("%s: exit %d\nout: %s\nerr: %s", tc.reason, code, out, errs)
			}
		})
	}
}

func TestJSONIsTheWholeList(t *testing.T) {
	_, out, _ := run(t, append([]string{"get", "clusters", "-o", "json", "--token", "good"}, serve(t, hub{})...)...)
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func (h hub) SyncRepo(context.Context, *statusv1.GetRequest) (*statusv1.SyncRepoResponse, error) {
	return &statusv1.SyncRepoResponse{Commit: "bbbbbbbbbb"}, nil
}

func (h hub) GetVersion(context.Context, *statusv1.GetVersionRequest) (*statusv1.Version, error) {
	return &statusv1.Version{Version: "v1", Epoch: "e"}, nil
}

func (h hub) RevokeCluster(context.Context, *statusv1.GetRequest) (*statusv1.RevokeClusterResponse, error) {
	return &statusv1.RevokeClusterResponse{}, nil
}

func TestEveryVerbSpeaksJSONWhenAsked(t *testing.T) {
	for _, verb := range []string{"get clusters", "get deliveries", "describe repo fleet", "sync fleet", "version", "version --client",
		"cluster revoke eu-1", "cluster join eu-1"} {
		t.Run(verb, func(t *testing.T) {
			args := append(strings.Fields(verb), serve(t, hub{})...)
			code, out, errs := run(t, append(args, "-o", "json", "--token", "good")...)
			if code != 0 || !json.Valid([]byte(out)) {
				t.Errorf("exit %d\nout: %s\nerr: %s", code, out, errs)
			}
		})
	}
}

func TestNamesReachTheHubAsTheyWereTyped(t *testing.T) {
	_, _, errs := run(t, append([]string{"describe", "bundle", "a b%", "--token", "good"}, serve(t, hub{})...)...)
	if !strings.Contains(errs, `no bundle "a b%"`) {
		t.Error(errs)
	}
}

func TestTheJoinLineKeepsTheTokenOffCommandLines(t *testing.T) {
	code, out, errs := run(t, append([]string{"cluster", "join", "edge", "--grant", "web", "--token", "good"}, serve(t, hub{})...)...)
	if code != 0 || !strings.Contains(errs, "admin rights in the namespaces web, and nothing else") {
		t.Fatal(code, errs)
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "pj1.secret") && !strings.HasPrefix(line, "stringData:") {
			t.Errorf("the token stands in %q", line)
		}
	}
	for _, want := range []string{"hub.endpoints[0]=hub.example.com:7443", "hub.caHash=sha256:abc", "tenants[0].namespace=fleet", "tenants[0].namespaces[0]=web"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "fleet")
	if code, _, errs := run(t, "init", folder); code != 0 {
		t.Fatal(errs)
	}
	readme := filepath.Join(folder, "README.md")
	if err := os.WriteFile(readme, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, "init", folder); code != client.ExitFailed || !strings.Contains(errs, "exists already") {
		t.Error(code, errs)
	}
	if data, err := os.ReadFile(readme); err != nil || string(data) != "mine" {
		t.Error("a file was written over", err)
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" && cmd.Name() != "help" && cmd.Name() != "completion" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(Command())
}
