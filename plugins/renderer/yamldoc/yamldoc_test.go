package yamldoc

import (
	"errors"
	"strings"
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
		"JSON": {
			reason: "JSON has escapes and tabs that YAML has not; several values in a row are several documents.",
			text:   "{\"a\": \"\\ud83d\\ude00\",\n\t\"b\": 9007199254740993}\n{\"c\": 1e2}",
			want:   []any{map[string]any{"a": "😀", "b": int64(9007199254740993)}, map[string]any{"c": 100.0}},
		},
		"ByteOrderMark":   {reason: "Some editors write one.", text: "\xef\xbb\xbfa: 1\n", want: []any{map[string]any{"a": int64(1)}}},
		"FlowIsNoJSON":    {reason: "What begins like JSON may be YAML.", text: "{a: 1}\n", want: []any{map[string]any{"a": int64(1)}}},
		"DuplicateInJSON": {reason: "JSON parsers drop the first of two silently.", text: "{\"a\": 1,\n\"a\": 2}", line: 2},
		"Tab":             {reason: "The line with the tab is named, not the one the parser stumbles over.", text: "a:\n  b: 1\n\tc: 2\n", line: 3},
		"NUL":             {reason: "A binary file is no manifest.", text: "a: 1\nb: \x00\n", line: 2},
		"Latin1":          {reason: "Another encoding is refused, not guessed.", text: "a: 1\nb: 2\nc: gr\xfc\xdfe\n", line: 3},
		"Bomb": {reason: "Aliases of aliases do not fill the memory.", line: 7, text: "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" +
			"c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e:\n- [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n- [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"},
		"Deep":      {reason: "Nesting ends.", text: strings.Repeat("[", 500) + strings.Repeat("]", 500), line: 1},
		"SelfAlias": {reason: "An alias that holds itself ends.", text: "a: &a [*a]\n", line: 1},
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

func TestLocate(t *testing.T) {
	file := "# head\nkind: A\n---\nkind: List\nitems:\n- kind: B\n  spec:\n    ports:\n    - name: x\n      port: 1\n  a/b: {c: 1}\n- kind: C\n"
	cases := map[string]struct {
		reason  string
		line    int
		pointer string
		want    int
	}{
		"InList":   {reason: "An item of a list is an object of its own.", line: 6, pointer: "/spec/ports/0/port", want: 10},
		"Escaped":  {reason: "Pointers escape slashes.", line: 6, pointer: "/a~1b/c", want: 11},
		"Missing":  {reason: "The nearest parent stands for what is not there.", line: 6, pointer: "/spec/ports/7/port", want: 8},
		"Whole":    {reason: "The empty pointer is the object.", line: 12, pointer: "", want: 12},
		"NoObject": {reason: "A line without object stands for itself.", line: 10, pointer: "/kind", want: 10},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Locate([]byte(file), tc.line, tc.pointer); got != tc.want {
				t.Errorf("%s\nwant %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

func TestText(t *testing.T) {
	file := "a: 1\n--- # one\n# two\nb: |\n  ---\n--- {c: 1}\n...\n---\nd: 4"
	want := map[int]string{1: "a: 1\n", 4: "# two\nb: |\n  ---\n", 6: " {c: 1}\n", 9: "d: 4"}
	got := map[int]string{}
	for line := range want {
		got[line] = string(Text([]byte(file), line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
