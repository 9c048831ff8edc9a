package render

import (
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const (
	openSecret   = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  labels: {a: b}\nstringData:\n  first: one\n  second: two\n"
	sealedSecret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  labels: {a: b}\nstringData:\n  first: ENC[AES256_GCM,data:1]\n  second: ENC[AES256_GCM,data:2]\nsops:\n  mac: ENC[AES256_GCM,data:m]\n"
)

// open is what a cluster does with a sealed object once it is open, but for the opening.
func open(t *testing.T, sealed content.SealedObject, plain string) string {
	t.Helper()
	object := decoded(t, plain)[0].Value
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range sealed.Patches {
		patch, err := jsonpatch.DecodePatch([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if data, err = patch.Apply(data); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if object, err = yamldoc.ObjectFromJSON(data); err != nil {
		t.Fatal(err)
	}
	for _, set := range sealed.Set {
		if err := setPointer(object, set.Pointer, set.Value); err != nil {
			t.Fatal(err)
		}
	}
	return encoded(t, []renderer.Object{{Value: object}})
}

// TestSealedContent proves that a sealed object ends as it would have, had it been open from the start.
func TestSealedContent(t *testing.T) {
	cases := map[string]struct {
		reason string
		inputs target.Inputs
	}{
		"Nothing":    {reason: "Nothing is done."},
		"Merge":      {reason: "A strategic merge adds, replaces and removes beside what is encrypted.", inputs: target.Inputs{Patches: anyPatch("metadata: {labels: {a: null, c: d}}\nstringData: {first: null, third: three}\ntype: example.com/x\n")}},
		"Operations": {reason: "Operations move what is encrypted, and tests are the cluster's.", inputs: target.Inputs{Patches: anyPatch(`[{"op":"test","path":"/stringData/first","value":"one"},{"op":"move","from":"/stringData/first","path":"/stringData/moved"}]`)}},
		"All": {reason: "Everything in its order.", inputs: target.Inputs{
			Patches: append(anyPatch("metadata: {labels: {team: patch}}"), anyPatch("[{op: add, path: /metadata/labels/x, value: y}]")...),
			Labels:  map[string]string{"team": "all"}, Annotations: map[string]string{"n": "1"},
			Set: []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "Secret"}, Pointer: "/stringData/host", Value: "eu"}}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := Input{Inputs: tc.inputs}
			want, err := post(in, decoded(t, openSecret))
			if err != nil {
				t.Fatal(err)
			}
			base := decoded(t, "kind: List\nitems: []\n---\n"+sealedSecret)
			posted, err := post(in, base)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := sealedContent(in, posted[0])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(encoded(t, want), open(t, sealed, openSecret)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if sealed.Document != sealedSecret || sealed.Format != "yaml" {
				t.Errorf("the document is not what was sealed:\n%s", sealed.Document)
			}
		})
	}
}

func TestSealedContentRefuses(t *testing.T) {
	list := "apiVersion: example.com/v1\nkind: Robot\nmetadata: {name: r}\nspec: {old: {key: 'ENC[x]'}}\nsops: {mac: x}\n"
	in := Input{Inputs: target.Inputs{Patches: anyPatch("spec: {old: null, new: {key: 'ENC[x]'}}")}}
	_, err := sealedContent(in, decoded(t, list)[0])
	if err == nil || !strings.Contains(err.Error(), "moves encrypted values at /spec/new") {
		t.Errorf("an encrypted text would be applied as it is: %v", err)
	}
}

func TestOperations(t *testing.T) {
	cases := map[string]struct{ reason, from, to string }{
		"Same":      {"Equal values need nothing.", `{"a":[1,{"b":2}]}`, `{"a":[1,{"b":2}]}`},
		"Insert":    {"An item in the middle of a list touches no other.", `{"l":[1,2,3]}`, `{"l":[1,9,2,3]}`},
		"Remove":    {"So does one that goes.", `{"l":[1,2,3]}`, `{"l":[1,3]}`},
		"Shrink":    {"Many go from the end.", `{"l":[1,2,3,4]}`, `{"l":[]}`},
		"Rework":    {"Items change in place.", `{"l":[{"a":1},{"a":2},{"a":3}]}`, `{"l":[{"a":1},{"a":5,"b":null},{"a":6},{"a":7}]}`},
		"Keys":      {"Keys are escaped.", `{"a/b":1,"c~d":{"e":1}}`, `{"a/b":2,"c~d":{"f":1}}`},
		"Kinds":     {"A value may become another kind.", `{"a":[1],"b":{"c":1},"d":null}`, `{"a":{"x":1},"b":[],"d":false}`},
		"NullField": {"A field that is null is there.", `{"a":null}`, `{}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			from, err := yamldoc.ObjectFromJSON([]byte(tc.from))
			if err != nil {
				t.Fatal(err)
			}
			to, err := yamldoc.ObjectFromJSON([]byte(tc.to))
			if err != nil {
				t.Fatal(err)
			}
			ops := operations(from, to, "")
			text, err := json.Marshal(append([]operation{}, ops...))
			if err != nil {
				t.Fatal(err)
			}
			patch, err := jsonpatch.DecodePatch(text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := patch.Apply([]byte(tc.from))
			if err != nil || !jsonpatch.Equal(got, []byte(tc.to)) {
				t.Errorf("%s\n%s\nwant %s, got %s, %v", tc.reason, text, tc.to, got, err)
			}
			if name == "Insert" && len(ops) != 1 {
				t.Errorf("%s\ngot %s", tc.reason, text)
			}
		})
	}
}
