package content_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
)

func TestParseOptions(t *testing.T) {
	cases := map[string]struct {
		reason              string
		prune, apply, adopt string
		rest                map[string]string
		want                *content.Options
		fails               bool
	}{
		"None":       {reason: "the default takes no place in the manifest"},
		"All":        {reason: "each has its own value", prune: "never", apply: "replace", adopt: "if-unowned", want: &content.Options{Prune: "never", Apply: "replace", Adopt: "if-unowned"}},
		"CreateOnly": {reason: "one is enough", apply: "create-only", want: &content.Options{Apply: "create-only"}},
		"OtherPrune": {reason: "a slip of the pen must not delete", prune: "Never", fails: true},
		"OtherApply": {reason: "nor overwrite", apply: "once", fails: true},
		"OtherAdopt": {reason: "nor take over", adopt: "true", fails: true},
		"Always":     {reason: "the words that v2 adds", prune: "always", adopt: "always", want: &content.Options{Prune: "always", Adopt: "always"}},
		"AdoptNever": {reason: "the default said aloud is the default", adopt: "never"},
		"Wave":       {reason: "numbers, also negative", rest: map[string]string{"wave": "-2", "timeout": "90s"}, want: &content.Options{Wave: -2, Timeout: "1m30s"}},
		"OtherWave":  {reason: "a word is no wave", rest: map[string]string{"wave": "first"}, fails: true},
		"NoTime":     {reason: "an object that has no time is never healthy in time", rest: map[string]string{"timeout": "0s"}, fails: true},
		"Ignore":     {reason: "one form for one meaning", rest: map[string]string{"ignore": "/spec/b, /spec/a,/spec/b"}, want: &content.Options{Ignore: []string{"/spec/a", "/spec/b"}}},
		"NoPointer":  {reason: "a path of another syntax would ignore nothing", rest: map[string]string{"ignore": "spec.replicas"}, fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			values := map[string]string{"prune": tc.prune, "apply": tc.apply, "adopt": tc.adopt}
			maps.Copy(values, tc.rest)
			got, err := content.ParseOptions(values)
			if (err != nil) != tc.fails {
				t.Fatalf("%s: error is %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSetPointer(t *testing.T) {
	cases := map[string]struct {
		reason, object, pointer string
		want                    string
		fails                   bool
	}{
		"Replace":     {reason: "what is there", object: `{"a":1}`, pointer: "/a", want: `{"a":"x"}`},
		"MakeParents": {reason: "missing mappings on the way are made", object: `{}`, pointer: "/a/b/c", want: `{"a":{"b":{"c":"x"}}}`},
		"Escaped":     {reason: "annotations have slashes", object: `{}`, pointer: "/a~1b/c~0d", want: `{"a/b":{"c~d":"x"}}`},
		"Item":        {reason: "of a list", object: `{"a":[1,2]}`, pointer: "/a/1", want: `{"a":[1,"x"]}`},
		"Append":      {reason: "to a list", object: `{"a":[1]}`, pointer: "/a/-", want: `{"a":[1,"x"]}`},
		"BelowItem":   {reason: "of a list", object: `{"a":[{}]}`, pointer: "/a/0/b", want: `{"a":[{"b":"x"}]}`},
		"NoItem":      {reason: "a list does not grow by holes", object: `{"a":[1]}`, pointer: "/a/5", fails: true},
		"LeadingZero": {reason: "the RFC knows none", object: `{"a":[1,2]}`, pointer: "/a/01", fails: true},
		"BelowValue":  {reason: "a plain value has nothing below it", object: `{"a":1}`, pointer: "/a/b", fails: true},
		"NoSlash":     {reason: "no pointer", object: `{}`, pointer: "a", fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var object map[string]any
			if err := json.Unmarshal([]byte(tc.object), &object); err != nil {
				t.Fatal(err)
			}
			err := content.SetPointer(object, tc.pointer, "x")
			if (err != nil) != tc.fails {
				t.Fatalf("%s: error is %v", tc.reason, err)
			}
			got, _ := content.CanonicalJSON(object)
			if !tc.fails && string(got) != tc.want {
				t.Errorf("%s: got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
