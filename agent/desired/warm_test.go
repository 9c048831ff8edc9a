package desired

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
)

func TestWarmPacks(t *testing.T) {
	cases := map[string]struct {
		reason string
		do     func(w *warm)
		want   []string
	}{
		"LastFirst": {reason: "the pack that was used last stands first", do: func(w *warm) { keep(w, "a", "b", "a") }, want: []string{"a", "b"}},
		"Bounded":   {reason: "the one that was not used for longest goes", do: func(w *warm) { keep(w, "a", "b", "c", "d", "a", "e") }, want: []string{"e", "a", "d", "c"}},
		"Forgotten": {reason: "a pack that is gone from the cluster is not remembered", do: func(w *warm) { keep(w, "a", "b"); w.forget("a"); w.forget("x") }, want: []string{"b"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := &warm{}
			c.do(w)
			if diff := cmp.Diff(c.want, w.names); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if len(w.packs) != len(w.names) {
				t.Errorf("%d packs are held under %d names", len(w.packs), len(w.names))
			}
		})
	}
}

func keep(w *warm, names ...string) {
	for _, name := range names {
		w.keep(name, map[content.Digest][]byte{})
	}
}
