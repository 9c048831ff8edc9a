package statusapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/periplus-fleet/periplus/api/openapi"
	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/tokens"
)

// rig is the API over a real store and a hub cluster whose reviews are answered from two tables.
type rig struct {
	url   string
	store *store.Store
	kube  client.Client
	// reviews counts SubjectAccessReviews.
	reviews int
	agents  agents
}

// users by token, and what each may do: "verb resource[/sub] namespace", "" as namespace for all.
var (
	users = map[string]string{"admin-token": "admin", "dev-token": "dev"}
	may   = map[string][]string{"dev": {"list fleetclusters team-a", "list deliveries team-a"}}
)

func newRig(t *testing.T) *rig {
	r := &rig{}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	var objects []client.Object
	var rows []delivery.Cluster
	for _, namespace := range []string{"team-a", "team-b"} {
		for _, name := range []string{"one", "two"} {
			objects = append(objects, &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(clusterUID(namespace, name))}})
			rows = append(rows, delivery.Cluster{UID: clusterUID(namespace, name), Namespace: namespace, Name: name})
		}
	}
	r.kube = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.JoinToken{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			switch review := object.(type) {
			case *authenticationv1.TokenReview:
				name, ok := users[review.Spec.Token]
				review.Status = authenticationv1.TokenReviewStatus{Authenticated: ok, User: authenticationv1.UserInfo{Username: name}}
				return nil
			case *authorizationv1.SubjectAccessReview:
				r.reviews++
				a := review.Spec.ResourceAttributes
				review.Status.Allowed = review.Spec.User == "admin"
				for _, allowed := range may[review.Spec.User] {
					review.Status.Allowed = review.Status.Allowed || allowed == a.Verb+" "+a.Resource+" "+a.Namespace
				}
				return nil
			}
			return c.Create(ctx, object, opts...)
		}}).Build()
	var err error
	r.store, err = store.Open(t.Context(), store.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "hub.db"), Key: make([]byte, store.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() })
	term, _, err := r.store.Lead(t.Context(), "test", time.Minute)
	if err == nil {
		err = r.store.UpsertClusters(t.Context(), term, rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	service := New(Config{Store: r.store, Client: r.kube, Tokens: tokens.Service{Client: r.kube, Store: r.store, Now: time.Now},
		Endpoints: []string{"hub:7443"}, CAHash: "sha256:abc", Version: "v1", Asker: &r.agents})
	handler, err := service.Handler(t.Context(), Hooks{Client: r.kube})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func clusterUID(namespace, name string) string { return "uid-" + namespace + "-" + name }

func (r *rig) call(t *testing.T, method, path, token, body string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s %s: %s", method, path, data)
	}
	return response.StatusCode, out
}

func TestEveryCallHasAPermission(t *testing.T) {
	var calls []string
	for _, method := range statusv1.Fleet_ServiceDesc.Methods {
		calls = append(calls, method.MethodName)
	}
	for _, stream := range statusv1.Fleet_ServiceDesc.Streams {
		calls = append(calls, stream.StreamName)
	}
	for _, call := range calls {
		if _, ok := permissions[call]; !ok {
			t.Errorf("%s stands in no permission table", call)
		}
	}
	if len(permissions) != len(calls) {
		t.Errorf("%d permissions for %d calls", len(permissions), len(calls))
	}
}

func TestWhoMayCall(t *testing.T) {
	r := newRig(t)
	cases := map[string]struct {
		reason, method, path, token, body string
		status                            int
		message                           string
	}{
		"Nobody":       {"a caller without credentials is told how to sign in", "GET", "/api/v1/clusters", "", "", 401, "not signed in"},
		"WrongToken":   {"so is one with a token that the cluster does not know", "GET", "/api/v1/clusters", "other", "", 401, "not signed in"},
		"Denied":       {"a denial names verb, resource and namespace", "GET", "/api/v1/bundles?namespace=team-a", "dev-token", "", 403, `"dev" may not list bundles.fleet.periplus.dev in namespace team-a`},
		"DeniedAct":    {"an act needs its own right", "POST", "/api/v1/namespaces/team-a/clusters/one:revoke", "dev-token", "", 403, "delete fleetclusters/identity"},
		"Allowed":      {"what RBAC allows is answered", "GET", "/api/v1/clusters?namespace=team-a", "dev-token", "", 200, ""},
		"BadFilter":    {"a wrong filter names those that there are", "GET", "/api/v1/clusters?filter=color=red", "admin-token", "", 400, "name, connected"},
		"BadSort":      {"a wrong sort too", "GET", "/api/v1/clusters?sort=color", "admin-token", "", 400, "sort"},
		"BadCursor":    {"a made-up cursor is refused", "GET", "/api/v1/clusters?cursor=xyz", "admin-token", "", 400, "cursor"},
		"BadLimit":     {"limits are bounded", "GET", "/api/v1/clusters?limit=100000", "admin-token", "", 400, "limit"},
		"NotFound":     {"what is not there is said", "GET", "/api/v1/namespaces/team-a/clusters/nope", "admin-token", "", 404, "nope"},
		"NoSuchPair":   {"a bundle that does not go there is said", "GET", "/api/v1/namespaces/team-a/clusters/one/deliveries/x", "admin-token", "", 404, "not delivered"},
		"BadDuration":  {"a token's life is bounded", "POST", "/api/v1/namespaces/team-a/clusters/one/jointokens", "admin-token", `{"expiresIn":"9999h"}`, 400, "168h"},
		"UnknownField": {"a field that does not exist is refused", "POST", "/api/v1/namespaces/team-a/clusters/one/jointokens", "admin-token", `{"color":1}`, 400, "color"},
		"NothingWaits": {"a cause that holds nothing is not confirmed", "POST", "/api/v1/namespaces/team-a:confirm", "admin-token", `{"cause":"commit:abc"}`, 404, "commit:abc"},
		"BadDecision":  {"recover takes two words", "POST", "/api/v1/namespaces/team-a/recovery", "admin-token", `{"decision":"maybe"}`, 400, "accept or orphan"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			status, body := r.call(t, tc.method, tc.path, tc.token, tc.body)
			message, _ := body["message"].(string)
			if status != tc.status || !strings.Contains(message, tc.message) {
				t.Errorf("%s: %d %v", tc.reason, status, body)
			}
		})
	}
}

func TestAListShowsOnlyWhatTheCallerMayList(t *testing.T) {
	r := newRig(t)
	for token, want := range map[string]float64{"admin-token": 4, "dev-token": 2} {
		_, body := r.call(t, "GET", "/api/v1/clusters", token, "")
		if items, _ := body["items"].([]any); float64(len(items)) != want || body["total"] != map[float64]string{4: "4", 2: "2"}[want] {
			t.Errorf("%s sees %v", token, body)
		}
	}
	asked := r.reviews
	r.call(t, "GET", "/api/v1/clusters", "dev-token", "")
	if r.reviews != asked {
		t.Errorf("%d more reviews within their 10 s", r.reviews-asked)
	}
}

func TestPagesFollowTheCursor(t *testing.T) {
	r := newRig(t)
	var names []string
	cursor := ""
	for {
		_, body := r.call(t, "GET", "/api/v1/clusters?limit=3&cursor="+cursor, "admin-token", "")
		for _, item := range body["items"].([]any) {
			cluster := item.(map[string]any)
			names = append(names, cluster["namespace"].(string)+"/"+cluster["name"].(string))
		}
		if cursor, _ = body["next"].(string); cursor == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "team-a/one team-a/two team-b/one team-b/two" {
		t.Error(got)
	}
}

func TestActsAreRecorded(t *testing.T) {
	r := newRig(t)
	status, body := r.call(t, "POST", "/api/v1/namespaces/team-a/clusters/one/jointokens", "admin-token", `{"expiresIn":"30m"}`)
	token, _ := body["token"].(string)
	if status != http.StatusOK || !strings.HasPrefix(token, "pj1.") || body["caHash"] != "sha256:abc" {
		t.Fatal(status, body)
	}
	known, err := r.store.Tokens(t.Context(), "team-a")
	if err != nil || len(known) != 1 || known[0].Hash != identity.HashToken(token) || known[0].ClusterUID != "uid-team-a-one" {
		t.Fatal(known, err)
	}
	if status, body = r.call(t, "POST", "/api/v1/namespaces/team-a/clusters/one:revoke", "admin-token", ""); status != http.StatusOK {
		t.Fatal(status, body)
	}
	if before, _, err := r.store.RevokedBefore(t.Context(), "uid-team-a-one"); err != nil || before.IsZero() {
		t.Error("nothing is revoked", err)
	}
	_, body = r.call(t, "GET", "/api/v1/audit?namespace=team-a", "admin-token", "")
	records, _ := body["items"].([]any)
	if len(records) != 2 || records[0].(map[string]any)["verb"] != "revoke" || records[0].(map[string]any)["actor"] != "admin" {
		t.Error(body)
	}
	if data, _ := json.Marshal(body); strings.Contains(string(data), token) {
		t.Error("the token stands in the audit record")
	}
}

// The document says what each call needs, for people who write RBAC; the table is what counts.
func TestTheDocumentNamesThePermissions(t *testing.T) {
	var document struct {
		Paths map[string]map[string]struct {
			OperationID          string `json:"operationId"`
			Summary, Description string
		}
	}
	if err := json.Unmarshal(openapi.Document, &document); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for path, methods := range document.Paths {
		for method, operation := range methods {
			need, known := permissions[strings.TrimPrefix(operation.OperationID, "Fleet_")]
			resource := need.resource
			if need.subresource != "" {
				resource += "/" + need.subresource
			}
			if want := "resource " + resource + ", verb " + need.verb + "."; !known ||
				need != (permission{}) && !strings.Contains(strings.ToLower(operation.Summary+" "+operation.Description), want) {
				t.Errorf("%s %s: want %q in %q %q", method, path, want, operation.Summary, operation.Description)
			}
			seen++
		}
	}
	if seen != len(permissions) {
		t.Errorf("%d calls in the document, %d permissions", seen, len(permissions))
	}
}
