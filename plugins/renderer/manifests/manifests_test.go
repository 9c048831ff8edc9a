package manifests

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
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
		"TypedList": {
			reason: "Every kind of list counts, as kubectl prints them; an empty one holds nothing, and an object with a name is none.",
			files: map[string]string{"b/l.json": "{\"kind\": \"ConfigMapList\",\n\t\"items\": [\n\t{\"kind\": \"A\"},\n\t{\"kind\": \"B\"}]}",
				"b/m.yaml": "kind: List\n", "b/n.yaml": "kind: AllowList\nmetadata: {name: x}\nitems: [a]\n"},
			want: map[string]string{"b/l.json:3": "A", "b/l.json:4": "B", "b/n.yaml:1": "AllowList"},
		},
		"SealedInList": {
			reason: "What SOPS authenticates as a whole cannot be taken apart.",
			files:  map[string]string{"b/a.yaml": "kind: List\nitems:\n- kind: A\n- kind: Secret\n  sops: {mac: x}\n"},
			refuse: &renderer.Error{File: "b/a.yaml", Line: 4, Message: "an encrypted object cannot stand in a List; give it a document of its own"},
		},
		"SealedList": {
			reason: "Its items have no names before it is open.",
			files:  map[string]string{"b/a.yaml": "kind: List\nitems: []\nsops: {mac: x}\n"},
			refuse: &renderer.Error{File: "b/a.yaml", Line: 1, Message: "an encrypted List cannot be taken apart; encrypt each object as a document of its own"},
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

func TestSealedIsWordForWord(t *testing.T) {
	sealed := "# ours\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n    key: ENC[AES256_GCM,data:x]\nsops:\n    mac: ENC[x]\n"
	objects, err := Decode("a.yaml", []byte("kind: A\n---\n"+sealed+"---\nkind: B\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, object := range objects {
		got[object.Source] = string(object.Sealed)
	}
	if diff := cmp.Diff(map[string]string{"a.yaml:1": "", "a.yaml:4": sealed, "a.yaml:12": ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestIgnore(t *testing.T) {
	cases := map[string]struct {
		reason   string
		patterns string
		name     string
		folder   bool
		want     bool
	}{
		"AnyDepth":   {reason: "No slash: at any depth.", patterns: "*.md.yaml", name: "a/b/c.md.yaml", want: true},
		"Anchored":   {reason: "A slash: from the bundle's folder on.", patterns: "a/x.yaml", name: "b/a/x.yaml"},
		"Root":       {reason: "A leading slash anchors.", patterns: "/x.yaml", name: "a/x.yaml"},
		"OneFolder":  {reason: "* stays in its folder.", patterns: "a/*.yaml", name: "a/b/x.yaml"},
		"AnyFolder":  {reason: "** does not.", patterns: "a/**/x.yaml", name: "a/b/c/x.yaml", want: true},
		"NoFolder":   {reason: "** may be nothing.", patterns: "a/**/x.yaml", name: "a/x.yaml", want: true},
		"Folder":     {reason: "A trailing slash means folders.", patterns: "docs/", name: "docs", folder: true, want: true},
		"NotFile":    {reason: "And not files.", patterns: "docs/", name: "docs"},
		"TakenBack":  {reason: "! takes back.", patterns: "*.yaml\n!keep.yaml", name: "a/keep.yaml"},
		"LastCounts": {reason: "The last match counts.", patterns: "!keep.yaml\n*.yaml", name: "keep.yaml", want: true},
		"Class":      {reason: "Classes may be negated.", patterns: "x[!0-9].yaml", name: "xa.yaml", want: true},
		"Escaped":    {reason: "A backslash takes a character as it is.", patterns: "\\!x\\*", name: "!x*", want: true},
		"Dots":       {reason: "A dot is a dot.", patterns: "a.yaml", name: "aayaml"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			patterns, _, err := parseIgnore(tc.patterns)
			if err != nil {
				t.Fatal(err)
			}
			if got := patterns.match(tc.name, tc.folder); got != tc.want {
				t.Errorf("%s\nwant %v", tc.reason, tc.want)
			}
		})
	}
	if _, line, err := parseIgnore("a\n\n[b\n"); err == nil || line != 3 {
		t.Errorf("a pattern that cannot be read has no line: %d, %v", line, err)
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	files := manyObjects(60)
	want := ""
	for run := range 100 {
		result, err := Renderer{}.Render(t.Context(), renderer.Request{FS: files, Dir: "b"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := content.CanonicalJSON(result)
		if err != nil {
			t.Fatal(err)
		}
		digest := string(content.Sum(text))
		if run == 0 {
			want = digest
		}
		if digest != want {
			t.Fatalf("run %d gives another digest", run)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"kind: A\n---\nkind: List\nitems: [{kind: B}]\n", `{"kind":"A"}{"kind":"B"}`, "a: &a [1]\nb: *a\n<<: {c: 1}\n",
		"sops: {mac: x}\n", "\tkind: A", "? [a]\n: b\n", "%YAML 1.2\n--- |\n x\n...\n", "x: !!binary YQ==\ny: 0x1F\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Decode("f.yaml", data)
		var refused *renderer.Error
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("a user's mistake has no file: %v", err)
		}
		for _, object := range objects {
			if object.Value == nil || object.Source == "f.yaml:0" {
				t.Fatalf("object %v at %q", object.Value, object.Source)
			}
		}
	})
}
