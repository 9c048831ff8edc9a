package root

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

func ref(kind, name string) *statusv1.LiveRef {
	return &statusv1.LiveRef{Kind: kind, Namespace: "shop", Name: name}
}

func (h hub) GetLiveTree(_ context.Context, request *statusv1.LiveRequest) (*statusv1.LiveTree, error) {
	if request.GetCluster() == "away" {
		return &statusv1.LiveTree{StaleSeconds: 300, Items: []*statusv1.LiveNode{{Object: ref("Deployment", "web"), Health: "ready"}}}, nil
	}
	return &statusv1.LiveTree{Items: []*statusv1.LiveNode{
		{Object: ref("Deployment", "web"), Health: "progressing", Message: "1 of 2"},
		{Object: ref("ReplicaSet", "web-1"), Depth: 1, Health: "ready"},
		{Object: ref("Pod", "web-1-a"), Depth: 2, Health: "ready"}, {Object: ref("Pod", "web-1-b"), Depth: 2, Health: "failed"},
		{Object: ref("ReplicaSet", "web-0"), Depth: 1, Health: "ready"}, {Object: ref("Service", "web"), Health: "ready"}}}, nil
}

func (h hub) DiffLive(_ context.Context, request *statusv1.LiveRequest) (*statusv1.LiveDiffs, error) {
	if request.GetKind() == "ConfigMap" {
		return &statusv1.LiveDiffs{Items: []*statusv1.LiveDiff{{Object: ref("ConfigMap", "same"), Action: "none"}}}, nil
	}
	object := func(replicas float64) *structpb.Struct {
		out, _ := structpb.NewStruct(map[string]any{"kind": "Deployment", "spec": map[string]any{"replicas": replicas}})
		return out
	}
	return &statusv1.LiveDiffs{Items: []*statusv1.LiveDiff{{Object: ref("Deployment", "web"), Action: "change", Before: object(5), After: object(2)}}}, nil
}

func (h hub) ListLiveEvents(_ context.Context, request *statusv1.LiveRequest) (*statusv1.LiveEvents, error) {
	return &statusv1.LiveEvents{Items: []*statusv1.LiveEvent{{Object: ref("Pod", "web-1"), Type: "Warning", Reason: "BackOff", Count: request.GetLimit(), Message: "no", Last: timestamppb.Now()}}}, nil
}

func (h hub) AbortDelivery(_ context.Context, request *statusv1.PairRequest) (*statusv1.AbortDeliveryResponse, error) {
	if request.GetBundle() != "web" {
		return nil, status.Error(codes.FailedPrecondition, "it waits for nothing")
	}
	return &statusv1.AbortDeliveryResponse{}, nil
}

// logsOf answers as the hub streams logs.
func logsOf(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/live/logs") {
		return false
	}
	if r.URL.Query().Get("name") == "gone" {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":5,"message":"Deployment gone has no pods"}`))
		return true
	}
	fmt.Fprintln(w, `{"result":{"lines":[{"pod":"shop/web-1","container":"main","time":"2026-01-02T03:04:05Z","text":"`+r.URL.Query().Get("kind")+` `+r.URL.Query().Get("tail")+`"}]}}`)
	fmt.Fprintln(w, `{"result":{"lines":[{"pod":"shop/web-2","container":"main","text":"two"}]}}`)
	if r.URL.Query().Get("name") == "broken" {
		fmt.Fprintln(w, `{"error":{"code":14,"message":"the agent broke off its answer"}}`)
	}
	return true
}

func TestLive(t *testing.T) {
	cases := map[string]struct {
		reason, args string
		code         int
		out, errs    string
	}{
		"Tree": {"branches join what belongs together", "tree web -c eu-1", 0, `Deployment/shop/web  progressing  1 of 2
├─ ReplicaSet/shop/web-1  ready
│  ├─ Pod/shop/web-1-a  ready
│  └─ Pod/shop/web-1-b  failed
└─ ReplicaSet/shop/web-0  ready
Service/shop/web  ready
`, ""},
		"TreeAway":    {"what is old is said to be", "tree web -c away", 0, "Deployment/shop/web  ready\n", "last known 5m0s ago"},
		"NoCluster":   {"", "tree web", client.ExitUsage, "", "needs --cluster"},
		"BadObject":   {"", "tree web deploy -c eu-1", client.ExitUsage, "", "KIND/NAME"},
		"Diff":        {"as kubectl diff", "diff web deploy/web -c eu-1", client.ExitFailed, "change Deployment/shop/web\n--- live\n+++ applied\n@@ -1,3 +1,3 @@\n kind: Deployment\n spec:\n-  replicas: 5\n+  replicas: 2\n", ""},
		"NoDiff":      {"", "diff web cm/same -c eu-1", 0, "none ConfigMap/shop/same\n", ""},
		"Events":      {"", "events web -c eu-1 --limit 7", 0, "0s\tWarning\tBackOff\tPod/shop/web-1\t7\tno\n", ""},
		"Logs":        {"names are Kubernetes' own", "logs web deploy/web -c eu-1 --tail 5", 0, "[shop/web-1/main] Deployment 5\n[shop/web-2/main] two\n", ""},
		"LogsTimes":   {"", "logs web pod/web-1 -c eu-1 --timestamps --no-prefix", 0, "2026-01-02T03:04:05Z Pod 100\ntwo\n", ""},
		"LogsGone":    {"", "logs web deploy/gone -c eu-1", client.ExitFailed, "", "has no pods"},
		"LogsBroken":  {"what came is shown, and that there is no more", "logs web deploy/broken -c eu-1 --no-prefix", client.ExitFailed, "Deployment 100\ntwo\n", "broke off"},
		"LogsNoName":  {"", "logs web -c eu-1", client.ExitUsage, "", "logs BUNDLE KIND/NAME"},
		"Abort":       {"", "abort web -c eu-1", 0, "aborted web on eu-1\n", ""},
		"AbortRefuse": {"", "abort other -c eu-1", client.ExitFailed, "", "it waits for nothing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, out, errs := run(t, append(strings.Fields(tc.args), append(serve(t, hub{}), "--token", "good")...)...)
			if code != tc.code || out != tc.out || !strings.Contains(errs, tc.errs) {
				t.Errorf("%s: exit %d\nout: %s\nerr: %s", tc.reason, code, out, errs)
			}
		})
	}
}
