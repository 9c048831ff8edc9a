package sealed_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/agent/sealed"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/sops"
)

const documents = "../../api/sops/testdata/"

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(documents + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOpen(t *testing.T) {
	item := content.Item{ObjectID: content.ObjectID{Kind: "Secret", Name: "sealed"}}
	cases := map[string]struct {
		reason string
		sealed content.SealedObject
		item   content.Item
		key    string
		want   map[string]any
		says   string
	}{
		"AsItIs": {reason: "the document's own content", item: item, want: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": map[string]any{"name": "sealed"},
			"stringData": map[string]any{"password": "correct-horse-battery", "user": "admin"}}},
		"AllThatTheHubSays": {reason: "patches, then values", item: item,
			sealed: content.SealedObject{
				Patches: []string{`[{"op":"add","path":"/metadata/labels","value":{"a":"1"}},{"op":"add","path":"/metadata/annotations","value":{"b":"2"}}]`,
					`[{"op":"add","path":"/stringData/host","value":"db"},{"op":"replace","path":"/metadata/labels/a","value":"9"}]`},
				Set: []content.SetField{{Pointer: "/stringData/host", Value: "db2"}, {Pointer: "/metadata/annotations/c~1d", Value: "3"}}},
			want: map[string]any{
				"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
				"metadata": map[string]any{"name": "sealed", "labels": map[string]any{"a": "9"},
					"annotations": map[string]any{"b": "2", "c/d": "3"}},
				"stringData": map[string]any{"password": "correct-horse-battery", "user": "admin", "host": "db2"}}},
		"WrongKey": {reason: "the reason says what it is encrypted for", item: item, key: "wrong.agekey", says: "no key opens it: it is encrypted for age age1"},
		"AnotherObject": {reason: "policy judged what the item names", item: content.Item{ObjectID: content.ObjectID{Kind: "Secret", Name: "other"}},
			says: "it holds Secret sealed, not Secret other"},
		"Renamed": {reason: "a patch cannot make another object of it", item: item, says: "it holds Secret x, not Secret sealed",
			sealed: content.SealedObject{Patches: []string{`[{"op":"replace","path":"/metadata/name","value":"x"}]`}}},
		"BadPatch": {reason: "the operation is named and no value", item: item, says: "patch 0, operation 1: test /stringData/password does not apply",
			sealed: content.SealedObject{Patches: []string{`[{"op":"add","path":"/stringData/x","value":"y"},{"op":"test","path":"/stringData/password","value":"no"}]`}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.key == "" {
				tc.key = "right.agekey"
			}
			keys, err := sops.ReadKeys(map[string][]byte{tc.key: read(t, tc.key)})
			if err != nil {
				t.Fatal(err)
			}
			tc.sealed.Document, tc.sealed.Format = string(read(t, "manifest.yaml")), "yaml"
			data, err := json.Marshal(tc.sealed)
			if err != nil {
				t.Fatal(err)
			}
			got, err := sealed.Open(data, tc.item, keys)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "horse") {
					t.Errorf("%s: error is %v", tc.reason, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got.Object); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
