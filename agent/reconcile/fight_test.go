package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStreakOfRepairs(t *testing.T) {
	start := time.Unix(1000, 0)
	cases := map[string]struct {
		reason string
		// every repair comes so long after it was possible, count times.
		every time.Duration
		count int
		want  int
	}{
		"Person":     {"who changes something every two minutes is no rival", 2 * time.Minute, 50, 1},
		"Few":        {"nor who does so ten times", time.Second, freeRepairs, freeRepairs},
		"Controller": {"one that resyncs twice a minute is", 30 * time.Second, 20, 20},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var r repair
			for range c.count {
				at := r.at()
				if r.streak == 0 {
					at = start
				}
				r = r.again(at.Add(c.every), defaultTruce)
			}
			if diff := cmp.Diff(c.want, r.streak); diff != "" || r.fighting() != (c.want > freeRepairs) {
				t.Errorf("%s: fighting is %v (-want +got):\n%s", c.reason, r.fighting(), diff)
			}
		})
	}
}
