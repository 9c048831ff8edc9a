package health_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/health"
	rules "github.com/periplus-fleet/periplus/policies/health"
)

// TestShipped asks each rule for the objects of its _test.rego, as the agent does.
func TestShipped(t *testing.T) {
	kinds := health.Shipped().Kinds()
	total := 0
	for path, all := range kinds {
		total += len(all)
		text, err := fs.ReadFile(rules.Files, strings.TrimSuffix(path, ".rego")+"_test.rego")
		if err != nil {
			t.Errorf("%s has no test: %v", path, err)
			continue
		}
		groups := map[string]string{}
		for _, kind := range all {
			groups[kind.Kind] = kind.Group
		}
		for _, c := range cases(t, path, string(text)) {
			object := c["object"].(map[string]any)
			object["apiVersion"] = groups[object["kind"].(string)] + "/v1"
			data, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			live := &unstructured.Unstructured{}
			if err := live.UnmarshalJSON(data); err != nil {
				t.Fatal(err)
			}
			got := health.Of(live)
			if string(got.Status) != c["want"] || (got.Status != health.Ready && got.Message == "") || strings.Contains(got.Message, "health rule") {
				t.Errorf("%s: want %v, got %+v for %v", path, c["want"], got, object)
			}
		}
	}
	if total < 40 {
		t.Errorf("want rules for 40 kinds, got %d", total)
	}
}

func cases(t *testing.T, path, text string) []map[string]any {
	t.Helper()
	parsed, err := ast.ParseModule(path, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range parsed.Rules {
		if rule.Head.Name != "cases" {
			continue
		}
		value, err := ast.JSON(rule.Head.Value.Value)
		if err != nil {
			t.Fatal(path, err)
		}
		var all []map[string]any
		for _, c := range value.([]any) {
			all = append(all, c.(map[string]any))
		}
		return all
	}
	t.Fatalf("%s has no cases", path)
	return nil
}

const head = "# METADATA\n# custom:\n#   kinds: [Thing.example.com]\npackage health.thing\n"

func TestWith(t *testing.T) {
	for _, c := range []struct {
		reason, text string
		status       health.Status
		message, err string
	}{
		{"a user's rule answers", head + "status := \"Failed\"\nmessage := \"it is cold\"\n", health.Failed, "it is cold", ""},
		{"a word that is none of ours is said, and kstatus answers", head + "status := \"Cold\"\n", health.Ready, "must be Ready", ""},
		{"a rule that says nothing is said", head + "status := \"Ready\" if input.spec.x\n", health.Ready, "no status for this object", ""},
		{"a rule that fails is said", head + "status := \"Ready\" if to_number(input.kind) > 1\n", health.Ready, "failed", ""},
		{"a broken file is refused with its line", head + "status :=\n", health.Ready, "", "thing.rego:"},
		{"a rule cannot reach the network", head + "status := http.send({}).body\n", health.Ready, "", "thing.rego:5"},
		{"a file without kinds is refused", "package health.thing\n", health.Ready, "", "custom.kinds"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			all, err := health.Shipped().With(fstest.MapFS{"thing.rego": {Data: []byte(c.text)}})
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("want error %q, got %v", c.err, err)
			}
			got := all.Of(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "a"}}})
			if got.Status != c.status || !strings.Contains(got.Message, c.message) {
				t.Errorf("got %+v", got)
			}
			if len(all.Kinds()["flux.rego"]) == 0 {
				t.Error("the rules that ship are gone")
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	live := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": map[string]any{"name": "a", "generation": int64(1)},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "observedGeneration": int64(1)}}},
	}}
	if got := health.Of(live); got.Status != health.Ready {
		b.Fatal(got)
	}
	for b.Loop() {
		health.Of(live)
	}
}
