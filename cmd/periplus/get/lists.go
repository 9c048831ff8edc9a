package get

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// answer is what every list's response has.
type answer[T any] interface {
	proto.Message
	GetItems() []T
	GetNext() string
}

func rowsOf[T any, A answer[T]](row func(T, time.Time) []string) func(proto.Message, time.Time) ([][]string, string) {
	return func(message proto.Message, now time.Time) ([][]string, string) {
		from := message.(A)
		var rows [][]string
		for _, item := range from.GetItems() {
			rows = append(rows, row(item, now))
		}
		return rows, from.GetNext()
	}
}

func pairFilters(stateField string) func(flags) []string {
	return func(f flags) []string {
		var out []string
		for field, value := range map[string]string{"cluster": f.cluster, "bundle": f.bundle, stateField: f.state, "point": f.point, "policy": f.policy} {
			if value != "" {
				out = append(out, field+"="+value)
			}
		}
		return out
	}
}

func lists() []list {
	return []list{
		{names: []string{"repos", "repo", "fleetrepos", "frepo"}, short: "FleetRepos and the commit in force", path: "repos",
			header:   []string{"NAMESPACE", "NAME", "REF", "COMMIT", "REFUSED", "FETCHED", "URL"},
			empty:    "No FleetRepo. Make one: periplus init, push it, then apply a FleetRepo to the hub's cluster.",
			response: func() proto.Message { return &statusv1.ListReposResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListReposResponse), from.(*statusv1.ListReposResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.Repo, *statusv1.ListReposResponse](func(r *statusv1.Repo, now time.Time) []string {
				return []string{r.GetNamespace(), r.GetName(), r.GetRef(), output.Short(r.GetCommit()), fmt.Sprint(len(r.GetRefused())),
					output.Age(r.GetLastFetch(), now), r.GetUrl()}
			})},
		{names: []string{"clusters", "cluster", "fleetclusters", "fcl"}, short: "Clusters, whether they are connected and as declared", path: "clusters",
			header:   []string{"NAMESPACE", "NAME", "STATE", "VERSION", "BUNDLES", "AGENT", "SEEN"},
			empty:    "No clusters. Declare one in the fleet repo under clusters/.",
			response: func() proto.Message { return &statusv1.ListClustersResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListClustersResponse), from.(*statusv1.ListClustersResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.Cluster, *statusv1.ListClustersResponse](func(c *statusv1.Cluster, now time.Time) []string {
				return []string{c.GetNamespace(), c.GetName(), c.GetState(), output.Dash(c.GetKubernetesVersion()),
					fmt.Sprintf("%d/%d", c.GetDeliveries().GetReady(), c.GetDeliveries().GetTotal()), output.Dash(c.GetAgentVersion()),
					output.Age(c.GetLastSeen(), now)}
			})},
		{names: []string{"bundles", "bundle", "pbd"}, short: "Bundles and on how many clusters they are ready", path: "bundles",
			header:   []string{"NAMESPACE", "NAME", "READY", "HELD", "FAILED", "COMMIT", "PATH", "FROZEN"},
			empty:    "No bundles. Write one: bundles/<name>/bundle.yaml in the fleet repo.",
			response: func() proto.Message { return &statusv1.ListBundlesResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListBundlesResponse), from.(*statusv1.ListBundlesResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.Bundle, *statusv1.ListBundlesResponse](func(b *statusv1.Bundle, _ time.Time) []string {
				d := b.GetDeliveries()
				return []string{b.GetNamespace(), b.GetName(), fmt.Sprintf("%d/%d", d.GetReady(), d.GetTotal()), fmt.Sprint(d.GetHeld()),
					fmt.Sprint(d.GetFailed()), output.Short(b.GetCommit()), b.GetPath(), output.Dash(b.GetFrozen())}
			})},
		{names: []string{"deliveries", "delivery"}, short: "Cluster x bundle pairs", path: "deliveries", filters: pairFilters("state"),
			header:   []string{"CLUSTER", "BUNDLE", "STATE", "OBJECTS", "REVISION", "COMMIT", "MESSAGE"},
			empty:    "No deliveries match.",
			response: func() proto.Message { return &statusv1.ListDeliveriesResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListDeliveriesResponse), from.(*statusv1.ListDeliveriesResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.Delivery, *statusv1.ListDeliveriesResponse](func(d *statusv1.Delivery, _ time.Time) []string {
				return []string{d.GetCluster(), d.GetBundle(), d.GetState(), fmt.Sprintf("%d/%d", d.GetCounts().GetReady(), d.GetCounts().GetObjects()),
					output.Short(d.GetAssignedRevision()), output.Short(d.GetAssignedCommit()), output.Dash(d.GetMessage())}
			})},
		{names: []string{"policyresults", "policies", "policy"}, short: "What policy says of target revisions, and of what runs", path: "policyresults", filters: pairFilters("action"), points: true,
			header:   []string{"CLUSTER", "POINT", "BUNDLE", "POLICY", "ACTION", "RESULT", "OBJECT", "SOURCE", "MESSAGE"},
			empty:    "No findings: every target revision, and all that was audited, passes every policy.",
			response: func() proto.Message { return &statusv1.ListPolicyResultsResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListPolicyResultsResponse), from.(*statusv1.ListPolicyResultsResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.PolicyResult, *statusv1.ListPolicyResultsResponse](func(r *statusv1.PolicyResult, _ time.Time) []string {
				return []string{r.GetCluster(), r.GetPoint(), output.Dash(r.GetBundle()), r.GetPolicy(), r.GetAction(), r.GetResult(), r.GetObject(),
					output.Dash(r.GetSource()), r.GetMessage()}
			})},
		{names: []string{"holds", "hold"}, short: "What waits for a person's word", path: "holds",
			header:   []string{"KIND", "CLUSTER", "BUNDLE", "OBJECTS", "ID", "MESSAGE"},
			empty:    "Nothing waits for confirmation.",
			response: func() proto.Message { return &statusv1.ListHoldsResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListHoldsResponse), from.(*statusv1.ListHoldsResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.Hold, *statusv1.ListHoldsResponse](func(h *statusv1.Hold, _ time.Time) []string {
				return []string{h.GetKind(), h.GetCluster(), h.GetBundle(), fmt.Sprint(h.GetObjects()), h.GetId(), h.GetMessage()}
			})},
		{names: []string{"tokens", "token", "jointokens"}, short: "Join tokens (the tokens themselves are stored nowhere)", path: "jointokens",
			header:   []string{"NAME", "CLUSTER", "USES", "EXPIRES"},
			empty:    "No join tokens. Make one: periplus cluster join <name>.",
			response: func() proto.Message { return &statusv1.ListJoinTokensResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListJoinTokensResponse), from.(*statusv1.ListJoinTokensResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.JoinToken, *statusv1.ListJoinTokensResponse](func(t *statusv1.JoinToken, _ time.Time) []string {
				return []string{t.GetName(), t.GetCluster(), fmt.Sprintf("%d/%d", t.GetUses(), t.GetMaxUses()), t.GetExpires().AsTime().Format(time.RFC3339)}
			})},
		{names: []string{"audit"}, short: "Imperative acts: who did what, when", path: "audit",
			header:   []string{"TIME", "ACTOR", "VERB", "RESOURCE", "NAME", "DETAIL"},
			empty:    "No imperative acts recorded.",
			response: func() proto.Message { return &statusv1.ListAuditResponse{} },
			join: func(into, from proto.Message) {
				a, b := into.(*statusv1.ListAuditResponse), from.(*statusv1.ListAuditResponse)
				a.Items, a.Total = append(a.Items, b.GetItems()...), b.GetTotal()
			},
			rows: rowsOf[*statusv1.AuditRecord, *statusv1.ListAuditResponse](func(r *statusv1.AuditRecord, _ time.Time) []string {
				return []string{r.GetTime().AsTime().Format(time.RFC3339), r.GetActor(), r.GetVerb(), r.GetResource(), r.GetName(), output.Dash(r.GetDetail())}
			})},
	}
}
