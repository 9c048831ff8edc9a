package jsonnet

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func filesOf(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

const library = `{ config(name, data): { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: name }, data: data } }`

func TestRender(t *testing.T) {
	cases := map[string]struct {
		reason  string
		files   map[string]string
		request renderer.Request
		want    []string
	}{
		"OneObject": {
			reason: "A file may be one object, and whole numbers stay whole.",
			files:  map[string]string{"b/main.jsonnet": `{apiVersion: 'v1', kind: 'A', metadata: {name: 'x'}, n: 2 + 1, f: 0.5}`},
			want:   []string{`{"apiVersion":"v1","f":0.5,"kind":"A","metadata":{"name":"x"},"n":3}`},
		},
		"Nested": {
			reason: "Lists and mappings are taken apart in the order of keys; null and Lists of Kubernetes too.",
			files: map[string]string{"b/main.jsonnet": `local o(k) = {apiVersion: 'v1', kind: k};
				{z: o('Z'), a: {b: [o('B1'), [o('B2')]], none: if false then o('N')}, l: {apiVersion: 'v1', kind: 'List', items: [o('L')]}, hidden:: 7}`},
			want: []string{`{"apiVersion":"v1","kind":"B1"}`, `{"apiVersion":"v1","kind":"B2"}`, `{"apiVersion":"v1","kind":"L"}`, `{"apiVersion":"v1","kind":"Z"}`},
		},
		"Imports": {
			reason: "Imports are found beside the importing file, above it inside the repository, and in the import paths in order.",
			files: map[string]string{
				"b/app/x.jsonnet":      `local l = import 'lib.libsonnet'; l.config('n', { s: importstr '../../shared/text.txt', b: importbin 'bytes' })`,
				"vendor/lib.libsonnet": library, "other/lib.libsonnet": `{}`, "shared/text.txt": "hello", "b/app/bytes": "A",
			},
			request: renderer.Request{Path: "app/x.jsonnet", Config: map[string]any{"importPaths": []any{"none", "../vendor", "../other"}}},
			want:    []string{`{"apiVersion":"v1","data":{"b":[65],"s":"hello"},"kind":"ConfigMap","metadata":{"name":"n"}}`},
		},
		"ExtVars": {
			reason:  "Values are external variables with their types; what is not asked for does no harm.",
			files:   map[string]string{"b/main.jsonnet": `{apiVersion: 'v1', kind: 'A', n: std.extVar('n') + 1, deep: std.extVar('m').k}`},
			request: renderer.Request{Values: map[string]any{"n": int64(1), "m": map[string]any{"k": []any{true, nil, "x"}}, "unused": "y"}},
			want:    []string{`{"apiVersion":"v1","deep":[true,null,"x"],"kind":"A","n":2}`},
		},
		"TLAs": {
			reason:  "Values are arguments of the function that the file is; defaults count where no value is given.",
			files:   map[string]string{"b/main.jsonnet": `function(name, replicas=2) {apiVersion: 'v1', kind: 'A', name: name, replicas: replicas}`},
			request: renderer.Request{Config: map[string]any{"valuesAs": "TLAs"}, Values: map[string]any{"name": "x"}},
			want:    []string{`{"apiVersion":"v1","kind":"A","name":"x","replicas":2}`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.request.FS, tc.request.Dir = filesOf(tc.files), "b"
			result, err := New().Render(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, texts(t, result)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func texts(t *testing.T, result renderer.Result) []string {
	t.Helper()
	var out []string
	for _, object := range result.Objects {
		text, err := content.CanonicalJSON(object.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return out
}

func TestRenderRefuses(t *testing.T) {
	cases := map[string]struct {
		reason  string
		files   map[string]string
		request renderer.Request
		file    string
		line    int
		says    string
	}{
		"Syntax":       {reason: "A syntax error has file, line and column.", files: map[string]string{"b/main.jsonnet": "{\n  a: 1\n  b: 2\n}"}, file: "b/main.jsonnet", line: 3, says: "column 3"},
		"SyntaxBelow":  {reason: "Also in an imported file.", files: map[string]string{"b/main.jsonnet": "import 'x'", "b/x": "\n}"}, file: "b/x", line: 2, says: "column 1"},
		"UnknownName":  {reason: "An unknown variable is found before the run.", files: map[string]string{"b/main.jsonnet": "{\n a: nope}"}, file: "b/main.jsonnet", line: 2, says: "nope"},
		"Runtime":      {reason: "The place in the author's files counts, not that in the standard library.", files: map[string]string{"b/main.jsonnet": "{\n a: std.map(1, 2)}"}, file: "b/main.jsonnet", line: 2, says: "std.map"},
		"Error":        {reason: "The way to a raised error is told.", files: map[string]string{"b/main.jsonnet": "local l = import 'x';\n{a: l.f(1)}", "b/x": "{f(n)::\n error 'no %d' % n}"}, file: "b/x", line: 2, says: "no 1 (from b/main.jsonnet:2:5"},
		"NoValue":      {reason: "A value that is missing is named where it is asked for.", files: map[string]string{"b/main.jsonnet": "{a:\n std.extVar('x')}"}, file: "b/main.jsonnet", line: 2, says: "x"},
		"NoFile":       {reason: "The default file is named.", file: "b/main.jsonnet", says: "not there"},
		"Absolute":     {reason: "Absolute imports would leave the repository.", files: map[string]string{"b/main.jsonnet": "import '/etc/passwd'"}, file: "b/main.jsonnet", line: 1, says: "out of the repository"},
		"Above":        {reason: "So would these.", files: map[string]string{"b/main.jsonnet": "importstr '../../x'"}, file: "b/main.jsonnet", line: 1, says: "out of the repository"},
		"PathAbove":    {reason: "And import paths.", request: renderer.Request{Config: map[string]any{"importPaths": []any{"../.."}}}, file: "b/main.jsonnet", says: "out of the repository"},
		"Recursion":    {reason: "Endless recursion ends.", files: map[string]string{"b/main.jsonnet": "local f(x) = f(x) + 1; f(1)"}, file: "b/main.jsonnet", line: 1, says: "stack"},
		"Scalar":       {reason: "What is no object is named by its path.", files: map[string]string{"b/main.jsonnet": "{a: [{apiVersion: 'v1', kind: 'A'}, 7]}"}, file: "b/main.jsonnet", says: "output.a[1] is a number"},
		"HalfAnObject": {reason: "An object without kind would be taken apart in silence.", files: map[string]string{"b/main.jsonnet": "{a: {apiVersion: 'v1'}}"}, file: "b/main.jsonnet", says: "output.a has only one"},
		"Function":     {reason: "A function without arguments given as TLAs cannot be output.", files: map[string]string{"b/main.jsonnet": "function(x) x"}, file: "b/main.jsonnet", says: "x"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.request.FS, tc.request.Dir = filesOf(tc.files), "b"
			_, err := New().Render(t.Context(), tc.request)
			var refused *renderer.Error
			if !errors.As(err, &refused) || refused.File != tc.file || refused.Line != tc.line || !strings.Contains(refused.Message, tc.says) {
				t.Errorf("%s\nwant %s:%d with %q, got %v", tc.reason, tc.file, tc.line, tc.says, err)
			}
		})
	}
}

func TestRenderEndsInTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	files := filesOf(map[string]string{"b/main.jsonnet": "std.foldl(function(a, b) a + std.length(std.range(1, 100000)), std.range(1, 300), 0)"})
	if _, err := New().Render(ctx, renderer.Request{FS: files, Dir: "b"}); err == nil || !strings.Contains(err.Error(), "did not end in time") {
		t.Errorf("an evaluation that does not end holds its caller: %v", err)
	}
}

// TestRenderIsDeterministic also proves that machines which were kept answer as new ones do, and side by side.
func TestRenderIsDeterministic(t *testing.T) {
	files := filesOf(map[string]string{"b/main.jsonnet": `local l = import 'l'; {[k]: l.config(k, {v: std.extVar('v'), k: k}) for k in std.set(['q', 'c', 'a', 'z'])}`, "b/l": library})
	one := New()
	render := func(value string) string {
		result, err := one.Render(t.Context(), renderer.Request{FS: files, Dir: "b", ContentID: "x", Values: map[string]any{"v": value}})
		if err != nil {
			t.Error(err)
		}
		return strings.Join(texts(t, result), "\n")
	}
	want := map[string]string{"1": render("1"), "2": render("2")}
	if want["1"] == want["2"] {
		t.Fatal("the values of an earlier rendering count")
	}
	var group sync.WaitGroup
	for range 50 {
		for value, text := range want {
			group.Go(func() {
				if got := render(value); got != text {
					t.Errorf("two renderings differ:\n%s", cmp.Diff(text, got))
				}
			})
		}
	}
	group.Wait()
	if kept := len(one.machines.idle); kept == 0 || kept > maxIdle {
		t.Errorf("%d machines are kept", kept)
	}
}
