package expr

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	cluster := map[string]any{"name": "eu-1", "labels": map[string]string{"env": "prod"},
		"variables": map[string]any{"replicas": int64(3), "domain": "eu1.example.com", "zones": []any{"a", "b"}}}
	cases := map[string]struct {
		reason string
		value  any
		want   any
		fails  string
	}{
		"Plain":        {reason: "Text without expressions, and ${} of others, is left alone.", value: "a ${b} }} $(c)", want: "a ${b} }} $(c)"},
		"Typed":        {reason: "A string that is wholly one expression takes its type.", value: "${{ cluster.variables.replicas + 1 }}", want: int64(4)},
		"List":         {reason: "Lists keep their type.", value: "${{ cluster.variables.zones }}", want: []any{"a", "b"}},
		"Within":       {reason: "Within a text results become text.", value: "${{cluster.name}}.${{ cluster.variables.domain }}:${{ cluster.variables.replicas }}", want: "eu-1.eu1.example.com:3"},
		"Literal":      {reason: "$${{ is a literal.", value: "$${{ github.ref }}", want: "${{ github.ref }}"},
		"Optional":     {reason: "Optional fields have a default.", value: "${{ cluster.variables.?missing.orValue(7) }}", want: int64(7)},
		"MapLiteral":   {reason: "Braces of map literals and of strings do not end an expression.", value: `${{ {"a": {"b": "}}"}} }}`, want: map[string]any{"a": map[string]any{"b": "}}"}}},
		"Nested":       {reason: "Values are walked; numbers and nulls stay.", value: map[string]any{"x": []any{"${{ cluster.labels.env }}", nil, 1.5}}, want: map[string]any{"x": []any{"prod", nil, 1.5}}},
		"MissingKey":   {reason: "What a cluster lacks is an error by path.", value: map[string]any{"x": []any{"${{ cluster.variables.nope }}"}}, fails: "spec.values.x[0]"},
		"Unclosed":     {reason: "An expression must end.", value: "${{ cluster.name", fails: "spec.values"},
		"BareOptional": {reason: "An optional has no JSON form.", value: "${{ cluster.variables.?missing }}", fails: "spec.values"},
		"ListInText":   {reason: "A list has no place in a text.", value: "x ${{ cluster.variables.zones }}", fails: "spec.values"},
		"Costly": {reason: "Cost is bounded.", fails: "spec.values",
			value: "${{ " + strings.Repeat("[1,2,3,4,5,6,7,8,9,10].all(x, ", 1) + strings.Repeat("[1,2,3,4,5,6,7,8,9,10].all(y, ", 6) + "true" + strings.Repeat(")", 7) + " }}"},
	}
	evaluator, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := evaluator.Expand(tc.value, "spec.values", cluster)
			if tc.fails != "" {
				var failed *Error
				if !errors.As(err, &failed) || failed.Path != tc.fails {
					t.Fatalf("%s\nwant an error at %s, got %v, %v", tc.reason, tc.fails, got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	evaluator, err := New()
	if err != nil {
		t.Fatal(err)
	}
	problems := evaluator.Check(map[string]any{"good": "${{ cluster.name }}", "bad": []any{"${{ 1 + }}", "${{ clutser.name }}"}}, "spec.values")
	var got []string
	for _, problem := range problems {
		got = append(got, problem.Path)
	}
	if diff := cmp.Diff([]string{"spec.values.bad[0]", "spec.values.bad[1]"}, got); diff != "" {
		t.Error(diff)
	}
}
