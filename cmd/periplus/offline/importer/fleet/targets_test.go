package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func TestBoth(t *testing.T) {
	labels := func(pairs ...string) v1alpha1.ClusterMatch {
		selector := &metav1.LabelSelector{}
		for i := 0; i < len(pairs); i += 2 {
			metav1.AddLabelToSelector(selector, pairs[i], pairs[i+1])
		}
		return v1alpha1.ClusterMatch{ClusterSelector: selector}
	}
	group := func(name string) v1alpha1.ClusterMatch { return v1alpha1.ClusterMatch{ClusterGroup: name} }
	names := func(list ...string) v1alpha1.ClusterMatch { return v1alpha1.ClusterMatch{ClusterNames: list} }
	cases := map[string]struct {
		reason     string
		a, b, want v1alpha1.ClusterMatch
		possible   bool
		why        bool
	}{
		"Labels":       {"both labels", labels("env", "dev"), labels("region", "eu"), labels("env", "dev", "region", "eu"), true, false},
		"Everywhere":   {"everywhere and somewhere is somewhere", labels(), labels("env", "dev"), labels("env", "dev"), true, false},
		"Contradict":   {"one label has one value", labels("env", "dev"), labels("env", "prod"), v1alpha1.ClusterMatch{}, false, false},
		"GroupAndName": {"a group and a name", group("a"), names("x"), v1alpha1.ClusterMatch{ClusterGroup: "a", ClusterNames: []string{"x"}}, true, false},
		"AllByName":    {"everywhere and a name is the name", labels(), names("x"), names("x"), true, false},
		"OtherName":    {"two names are no cluster", names("x"), names("y"), v1alpha1.ClusterMatch{}, false, false},
		"TwoGroups":    {"two groups cannot be asked for", group("a"), group("b"), v1alpha1.ClusterMatch{}, false, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, possible, why := both(tc.a, tc.b)
			if possible != tc.possible || (why != "") != tc.why {
				t.Fatalf("%s: %v, %q", tc.reason, possible, why)
			}
			if diff := cmp.Diff(tc.want, got); possible && diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}
