package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func line(seconds int, user, verb, uri, namespace, resource, stage string) string {
	return fmt.Sprintf(`{"kind":"Event","stage":%q,"verb":%q,"requestURI":%q,"requestReceivedTimestamp":%q,"user":{"username":%q},"objectRef":{"resource":%q,"namespace":%q,"name":"x"},"responseStatus":{"code":200}}`,
		stage, verb, uri, start.Add(time.Duration(seconds)*time.Second).Format("2006-01-02T15:04:05.000000Z07:00"), user, resource, namespace) + "\n"
}

func TestWrites(t *testing.T) {
	const done = "ResponseComplete"
	cases := map[string]struct {
		reason string
		line   string
		own    bool
		want   int
	}{
		"Apply":      {reason: "a server-side apply of a bundle's object", line: line(5, agentUser, "patch", "/x?fieldManager=periplus", "shop", "configmaps", done), want: 1},
		"Own":        {reason: "the agent keeps its inventory in its own namespace", line: line(5, agentUser, "update", "/x", "periplus-system", "secrets", done), own: true, want: 1},
		"OwnIsApart": {reason: "and that is no delivery", line: line(5, agentUser, "update", "/x", "periplus-system", "secrets", done)},
		"Read":       {reason: "reads change nothing", line: line(5, agentUser, "get", "/x", "shop", "configmaps", done)},
		"DryRun":     {reason: "a dry run changes nothing", line: line(5, agentUser, "patch", "/x?dryRun=All&fieldManager=periplus", "shop", "configmaps", done)},
		"Review":     {reason: "asking for one's rights changes nothing", line: line(5, agentUser, "create", "/x", "", "selfsubjectaccessreviews", done)},
		"Other":      {reason: "controllers write all the time", line: line(5, "system:kube-controller-manager", "update", "/x", "shop", "deployments", done)},
		"Before":     {reason: "only what came since counts", line: line(-5, agentUser, "patch", "/x", "shop", "configmaps", done)},
		"OtherStage": {reason: "one request is counted once", line: line(5, agentUser, "patch", "/x", "shop", "configmaps", "ResponseStarted")},
		"HalfLine":   {reason: "the server is writing it", line: line(5, agentUser, "patch", "/x", "shop", "configmaps", done) + `{"kind":"Ev`, want: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			events, err := parseAudit(strings.NewReader(tc.line), start)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, len(writes(events, tc.own))); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestReadAuditFollowsRotation(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"audit.log":                         line(20, agentUser, "patch", "/b", "shop", "configmaps", "ResponseComplete"),
		"audit-2026-01-01T12-00-10.000.log": line(5, agentUser, "patch", "/a", "shop", "configmaps", "ResponseComplete"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	events, err := readAudit(filepath.Join(folder, "audit.log"), start)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.URI)
	}
	if diff := cmp.Diff([]string{"/a", "/b"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPercentiles(t *testing.T) {
	cases := map[string]struct {
		reason   string
		values   []float64
		p        float64
		want     float64
		wantNone bool
	}{
		"None":   {reason: "what was not measured is null, not 0", wantNone: true},
		"One":    {reason: "of one value all percentiles are that value", values: []float64{3}, p: 95, want: 3},
		"Median": {reason: "order does not matter", values: []float64{5, 1, 3, 2, 4}, p: 50, want: 3},
		"P95":    {reason: "of 20 values the 19th, by nearest rank", values: []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, p: 95, want: 19},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := percentile(tc.values, tc.p)
			if (got == nil) != tc.wantNone || got != nil && *got != tc.want {
				t.Errorf("%s: got %v", tc.reason, got)
			}
		})
	}
}
