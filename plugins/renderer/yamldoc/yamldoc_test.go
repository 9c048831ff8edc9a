package yamldoc

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		reason string
		text   string
		want   []any
		line   int
	}{
		"SeveralDocuments": {
			reason: "Empty documents are left out, the others keep their order.",
			text:   "a: 1\n---\n# nothing\n---\n- x\n",
			want:   []any{map[string]any{"a": int64(1)}, []any{"x"}},
		},
		"Scalars": {
			reason: "Types are JSON's; a date and a Norwegian country code stay text.",
			text:   "{i: 7, f: 1.5, b: true, n: null, s: 'x', d: 2027-01-31, no: no, o: 0644}",
			want: []any{map[string]any{"i": int64(7), "f": 1.5, "b": true, "n": nil, "s": "x",
				"d": "2027-01-31", "no": "no", "o": int64(420)}},
		},
		"MergeKey": {
			reason: "A mapping's own keys win over merged ones.",
			text:   "base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n",
			want: []any{map[string]any{"base": map[string]any{"x": int64(1), "y": int64(2)},
				"use": map[string]any{"x": int64(1), "y": int64(3)}}},
		},
		"DuplicateKey": {reason: "The second of two equal keys is named.", text: "a: 1\nb: 2\na: 3\n", line: 3},
		"Syntax":       {reason: "A syntax error has its line.", text: "a: 1\nb: [\n", line: 2},
		"SelfAlias":    {reason: "An alias that holds itself ends.", text: "a: &a [*a]\n", line: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			documents, err := Parse([]byte(tc.text))
			if tc.line != 0 {
				var mistake *Error
				if !errors.As(err, &mistake) || mistake.Line != tc.line {
					t.Fatalf("%s\nwant an error at line %d, got %v", tc.reason, tc.line, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []any
			for _, document := range documents {
				got = append(got, document.Value)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLineOf(t *testing.T) {
	documents, err := Parse([]byte("kind: A\n---\nspec:\n  targets:\n  - name: x\n    clusterSelector: {}\n  - name: y\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"spec": 3, "spec.targets": 4, "spec.targets[0].clusterSelector": 6, "spec.targets[1]": 7,
		"spec.targets[1].missing.deep": 7, "nothing": 3}
	got := map[string]int{}
	for path := range want {
		got[path] = documents[1].LineOf(path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
