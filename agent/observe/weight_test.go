package observe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNextPage(t *testing.T) {
	cases := map[string]struct {
		reason           string
		objects, weighed int
		want             int64
	}{
		"None":    {"an empty page says nothing", 0, 0, firstPage},
		"Small":   {"many small ones at once", 25, 25 * 300, largePage},
		"Usual":   {"about the weight of a page", 25, 25 * 2048, 128},
		"Large":   {"few large ones", 25, 25 << 20, smallPage},
		"Nothing": {"no division by nothing", 3, 0, largePage},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, nextPage(c.objects, c.weighed)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestWeight(t *testing.T) {
	value := map[string]any{"a": strings.Repeat("x", 1000), "b": []any{int64(1), "two", nil, map[string]any{"c": true}}}
	if got := weight(value); got < 1000 || got > 1100 {
		t.Errorf("weight is %d", got)
	}
}
