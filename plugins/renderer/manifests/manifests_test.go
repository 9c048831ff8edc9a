package manifests

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func TestRender(t *testing.T) {
	config := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
	cases := map[string]struct {
		reason string
		files  map[string]string
		want   map[string]string
		refuse *renderer.Error
	}{
		"ManyFiles": {
			reason: "Documents, folders and JSON are read in order; bundle.yaml, dot files and other files are not.",
			files: map[string]string{
				"b/bundle.yaml": "kind: Bundle", "b/README.md": "text", "b/.hidden.yaml": "kind: X",
				"b/a.yaml":      "# head\n" + config + "---\n" + config,
				"b/sub/c.json":  `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}`,
				"other/no.yaml": config,
			},
			want: map[string]string{"b/a.yaml:2": "ConfigMap", "b/a.yaml:6": "ConfigMap", "b/sub/c.json:1": "Secret"},
		},
		"NestedList": {
			reason: "Items of lists are objects of their own, with their own lines.",
			files: map[string]string{"b/l.yaml": "apiVersion: v1\nkind: List\nitems:\n- kind: A\n" +
				"- kind: List\n  items:\n  - kind: B\n"},
			want: map[string]string{"b/l.yaml:4": "A", "b/l.yaml:7": "B"},
		},
		"Ignored": {
			reason: "Patterns without a slash match at any depth, folders are skipped whole.",
			files: map[string]string{"b/.periplusignore": "# not ours\ndocs/\n*-values.yaml\nsub/x.yaml\n", "b/docs/a.yaml": "kind: A",
				"b/my-values.yaml": "x: 1", "b/sub/x.yaml": "kind: X", "b/sub/y.yaml": "kind: Y"},
			want: map[string]string{"b/sub/y.yaml:1": "Y"},
		},
		"NoMapping": {
			reason: "A document that is no mapping is refused by line.",
			files:  map[string]string{"b/a.yaml": "kind: A\n---\n- x\n"},
			refuse: &renderer.Error{File: "b/a.yaml", Line: 3, Message: "a manifest is a mapping with apiVersion and kind"},
		},
		"DuplicateKey": {
			reason: "What YAML would silently drop is refused.",
			files:  map[string]string{"b/a.yaml": "kind: A\nkind: B\n"},
			refuse: &renderer.Error{File: "b/a.yaml", Line: 2, Message: `key "kind" stands twice`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for file, text := range tc.files {
				files[file] = &fstest.MapFile{Data: []byte(text), Mode: fs.FileMode(0o644)}
			}
			result, err := Renderer{}.Render(t.Context(), renderer.Request{FS: files, Dir: "b"})
			var refused *renderer.Error
			if errors.As(err, &refused); !cmp.Equal(tc.refuse, refused) || (err != nil) != (tc.refuse != nil) {
				t.Fatalf("%s\nwant %v, got %v", tc.reason, tc.refuse, err)
			}
			if tc.refuse != nil {
				return
			}
			got := map[string]string{}
			for _, object := range result.Objects {
				got[object.Source], _ = object.Value["kind"].(string)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}
