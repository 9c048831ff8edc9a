package expr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReads(t *testing.T) {
	cases := map[string]struct {
		reason string
		value  any
		want   Reads
	}{
		"None":     {reason: "Text reads nothing.", value: map[string]any{"a": "x ${y} $${{ cluster.name }}"}},
		"Label":    {reason: "A label by its key, however it is written.", value: `${{ cluster.labels.env + cluster.labels["zone"] + cluster.labels.?tier.orValue("") + cluster.labels[?"x/y"].orValue("") }}`, want: Reads{Fields: []string{"labels.env", "labels.tier", "labels.x/y", "labels.zone"}}},
		"Has":      {reason: "A question whether it is there reads it too.", value: "${{ has(cluster.labels.env) ? 1 : 2 }}", want: Reads{Fields: []string{"labels.env"}}},
		"Deep":     {reason: "Deeper selections are the variable's.", value: "${{ cluster.variables.db.hosts[0] }}", want: Reads{Fields: []string{"variables.db"}}},
		"Labels":   {reason: "An open key is all of them.", value: "${{ cluster.labels[cluster.name] }}", want: Reads{Fields: []string{"labels", "name"}}},
		"Loop":     {reason: "Loops are looked into.", value: `${{ ["a"].exists(x, x in cluster.labels) }}`, want: Reads{Fields: []string{"labels"}}},
		"Whole":    {reason: "The cluster itself is everything.", value: "${{ cluster }}", want: Reads{All: true}},
		"OpenKey":  {reason: "A field by a computed name is everything.", value: `${{ cluster["na" + "me"] }}`, want: Reads{All: true}},
		"Several":  {reason: "Everything in a value counts.", value: []any{"${{ cluster.version }}", map[string]any{"x": "a-${{ cluster.name }}"}}, want: Reads{Fields: []string{"name", "version"}}},
		"MapValue": {reason: "Literals are looked into.", value: "${{ {'a': [cluster.properties.class]} }}", want: Reads{Fields: []string{"properties.class"}}},
	}
	evaluator, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, evaluator.Reads(tc.value)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCondition(t *testing.T) {
	cluster := map[string]any{"name": "eu-1", "labels": map[string]string{"env": "prod"}, "properties": map[string]string{"tier": "1"}}
	cases := map[string]struct {
		reason, text string
		want         bool
		refused      string
		fails        bool
	}{
		"True":     {reason: "It holds.", text: `cluster.labels.env == "prod" && cluster.name.startsWith("eu-")`, want: true},
		"False":    {reason: "It does not.", text: `cluster.properties.?tier.orValue("9") == "2"`},
		"Missing":  {reason: "What the cluster lacks is an error, not false.", text: `cluster.labels.zone == "a"`, fails: true},
		"Dynamic":  {reason: "A result that is no boolean is seen at the latest when it is there.", text: "cluster.name", fails: true},
		"Number":   {reason: "Or at commit where its type is known.", text: "1 + 1", refused: "true or false"},
		"Braces":   {reason: "The braces are for values.", text: "${{ true }}", refused: "without ${{ }}"},
		"Unknown":  {reason: "It must compile.", text: "clster.name == ''", refused: "undeclared"},
		"TooMuch":  {reason: "Cost is bounded.", text: strings.Repeat("[1,2,3,4,5,6,7,8,9,10].all(y, ", 7) + "true" + strings.Repeat(")", 7), fails: true},
		"Constant": {reason: "All clusters.", text: "true", want: true},
	}
	evaluator, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			condition, err := evaluator.Condition(tc.text)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("%s\ngot %v", tc.reason, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := condition.Holds(cluster)
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("%s\ngot %t, %v", tc.reason, got, err)
			}
		})
	}
}
