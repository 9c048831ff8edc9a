package charts_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/charts"
)

var update = flag.Bool("update", false, "write the chart's README.md anew")

// schema is the part of a JSON schema that the table of values is made from.
type schema struct {
	Description string             `json:"description"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
}

// rows lists every value that has a description, by its path.
func rows(s *schema, path string, defaults any) []string {
	var out []string
	if s.Description != "" {
		value := ""
		if defaults != nil {
			text, _ := json.Marshal(defaults)
			value = "`" + string(text) + "`"
		}
		out = append(out, fmt.Sprintf("| `%s` | %s | %s |", path, value, s.Description))
	}
	for name, property := range s.Properties {
		values, _ := defaults.(map[string]any)
		out = append(out, rows(property, strings.TrimPrefix(path+"."+name, "."), values[name])...)
	}
	if s.Items != nil {
		out = append(out, rows(s.Items, path+"[]", nil)...)
	}
	slices.Sort(out)
	return out
}

const readme = `# periplus-agent

The agent of one Periplus fleet member: one Deployment, outbound only, with no right in the cluster but its own Secrets and
what ` + "`tenants`" + ` grants.

    kubectl create namespace periplus-system
    kubectl -n periplus-system create secret generic periplus-agent-join --from-literal=token=<token>
    helm install periplus-agent <chart> -n periplus-system --set 'hub.endpoints={<host:port>}' --set hub.caHash=<hash> -f tenants.yaml

` + "`periplus cluster join <name>`" + ` prints these lines with everything filled in.

## Values

| value | default | |
| --- | --- | --- |
`

// The table of values is made from the schema and values.yaml, so that it cannot be wrong.
func TestReadme(t *testing.T) {
	var s schema
	text, err := fs.ReadFile(charts.Agent(), "values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	var defaults map[string]any
	if text, err = fs.ReadFile(charts.Agent(), "values.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &defaults); err != nil {
		t.Fatal(err)
	}
	s.Description = ""
	want := readme + strings.Join(rows(&s, "", defaults), "\n") + "\n"
	if *update {
		if err := os.WriteFile("periplus-agent/README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := fs.ReadFile(charts.Agent(), "README.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("README.md is not of this schema; run `go test ./charts -run TestReadme -update` (-want +got):\n%s", diff)
	}
}

// Every default stands in the schema, and every described value of the first level has a default.
func TestDefaultsMatchTheSchema(t *testing.T) {
	var s schema
	text, err := fs.ReadFile(charts.Agent(), "values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	var defaults map[string]any
	if text, err = fs.ReadFile(charts.Agent(), "values.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &defaults); err != nil {
		t.Fatal(err)
	}
	for name := range s.Properties {
		if _, there := defaults[name]; !there {
			t.Errorf("values.yaml lacks %q", name)
		}
	}
}
