package session

import (
	"slices"
	"strings"
	"testing"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func result(point, name string) *linkv1.PolicyResult {
	return &linkv1.PolicyResult{Key: &linkv1.PolicyResultKey{Point: point, Object: &linkv1.ObjectId{Kind: "Pod", Name: name}, Policy: "p"}}
}

func told(report *linkv1.PolicyReport) string {
	var out []string
	for _, r := range report.GetUpserts() {
		out = append(out, "+"+r.GetKey().GetPoint()[:2]+r.GetKey().GetObject().GetName())
	}
	for _, key := range report.GetGone() {
		out = append(out, "-"+key.GetObject().GetName())
	}
	slices.Sort(out)
	text := strings.Join(out, " ")
	if report.GetFull() {
		text = "full " + text
	}
	return strings.TrimSpace(text)
}

// What audit found is told until the hub has it, and all of it again in another session; a decision is told once.
func TestFindingsReachTheHub(t *testing.T) {
	f := newFindings()
	f.take(&linkv1.PolicyReport{Full: true, Upserts: []*linkv1.PolicyResult{result("audit", "a"), result("audit", "b"), result("admission", "x")}})
	first := f.next(1 << 20)
	if got := told(first); got != "full +adx +aua +aub" {
		t.Errorf("the first report says everything: %q", got)
	}
	if f.waiting() {
		t.Error("and leaves nothing")
	}
	f.take(&linkv1.PolicyReport{Gone: []*linkv1.PolicyResultKey{result("audit", "b").GetKey()}})
	f.recall(first)
	if got := told(f.next(1 << 20)); got != "full +adx +aua -b" {
		t.Errorf("a report that was lost is told again, as things are by now: %q", got)
	}
	f.resendAll()
	if got := told(f.next(1 << 20)); got != "full +aua" {
		t.Errorf("another session hears all that lasts: %q", got)
	}
	f.take(&linkv1.PolicyReport{Problems: []string{"cannot audit Secret"}})
	f.take(&linkv1.PolicyReport{Upserts: []*linkv1.PolicyResult{result("admission", "x")}})
	if report := f.next(1 << 20); len(report.GetProblems()) != 1 {
		t.Errorf("a decision says nothing of what cannot be audited: %v", report.GetProblems())
	}
	for i := range maxDecisions + 10 {
		f.take(&linkv1.PolicyReport{Upserts: []*linkv1.PolicyResult{result("admission", string(rune('a'+i%26)))}})
	}
	if len(f.decisions) != maxDecisions {
		t.Errorf("%d decisions wait, want %d", len(f.decisions), maxDecisions)
	}
	if n := len(f.next(100).GetUpserts()); n == 0 || n > 20 {
		t.Errorf("a report takes what fits, not %d results", n)
	}
}
