package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/store"
)

func found(point, name, id, result string) *linkv1.PolicyResult {
	return &linkv1.PolicyResult{Key: &linkv1.PolicyResultKey{Point: point, Object: &linkv1.ObjectId{Kind: "ConfigMap", Namespace: "shop", Name: name}, Policy: "p", Id: id},
		Rule: "deny", Action: "deny", Result: result, Message: "is wrong", File: "policies/p.rego", Line: 7, Revision: "sha256:abc", User: "jane", Operation: "CREATE"}
}

// What audit finds stands until it is gone; what admission decided is history; both are told apart from what the gate found.
func TestReportsOfPolicies(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a", "b")
		a, b := w.session("a"), w.session("b")
		tell := func(cluster string, session, sequence uint64, policy *linkv1.PolicyReport) {
			w.report(cluster, session, sequence, &linkv1.StatusReport{Policy: policy})
		}
		stands := func(reason string, want ...string) {
			w.Helper()
			page, err := w.ListPolicyResults(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Limit: 100, Filter: map[string]string{"point": "audit"}})
			w.must(err)
			var got []string
			for _, row := range page.Items {
				got = append(got, fmt.Sprint(row.Cluster, " ", row.Object.Name, " ", row.Result, " ", row.PolicySource))
			}
			slices.Sort(got)
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				w.Errorf("%s: got %q, want %q", reason, got, want)
			}
		}
		tell("a", a, 1, &linkv1.PolicyReport{Full: true, Upserts: []*linkv1.PolicyResult{found("audit", "x", "1", "fail"), found("audit", "y", "1", "fail")},
			Problems: []string{"cannot audit Secret"}})
		tell("b", b, 1, &linkv1.PolicyReport{Full: true, Upserts: []*linkv1.PolicyResult{found("audit", "x", "1", "fail")}})
		stands("a full report is what there is", "a x fail policies/p.rego:7", "a y fail policies/p.rego:7", "b x fail policies/p.rego:7")
		tell("a", a, 2, &linkv1.PolicyReport{Upserts: []*linkv1.PolicyResult{found("audit", "x", "1", "skip")}, Gone: []*linkv1.PolicyResultKey{found("audit", "y", "1", "").GetKey()}})
		stands("then what changed is told", "a x skip policies/p.rego:7", "b x fail policies/p.rego:7")
		tell("a", a, 3, &linkv1.PolicyReport{Full: true, Upserts: []*linkv1.PolicyResult{found("audit", "z", "1", "fail")}})
		stands("another full report forgets the one before, of this cluster", "a z fail policies/p.rego:7", "b x fail policies/p.rego:7")
		tell("a", a, 4, &linkv1.PolicyReport{Upserts: []*linkv1.PolicyResult{found("admission", "n", "1", "fail")}})
		stands("a decision about a request stands nowhere", "a z fail policies/p.rego:7", "b x fail policies/p.rego:7")
		history, err := w.ListHistory(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Limit: 100, Filter: map[string]string{"type": "RequestDenied"}})
		w.must(err)
		want := "policy p denies ConfigMap shop/n: is wrong (policies/p.rego:7), of policies sha256:abc"
		if len(history.Items) != 1 || history.Items[0].Actor != "jane" || history.Items[0].From != "CREATE" || history.Items[0].Message != want {
			w.Errorf("it is history, with who asked for what: %+v", history.Items)
		}
		counts, err := w.CountPolicyResults(w.ctx(), "fleet")
		w.must(err)
		if len(counts) != 1 || counts[0] != (store.PolicyCount{Policy: "p", Action: "deny", Result: "fail", Point: "audit", Count: 2}) {
			w.Errorf("counts are by policy, action, result and point: %+v", counts)
		}
	})
}
