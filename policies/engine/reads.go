package engine

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Reads says what a policy's verdict depends on beside the object and the parameters. Verdicts are shared between clusters
// that look the same to the policy.
type Reads struct {
	// Cluster fields, such as name or labels.env; sorted. AllCluster where a reference leaves it open which.
	Cluster    []string
	AllCluster bool
	Commit     bool
	Time       bool
}

// readsOf walks compiled modules: there, every way to write a reference to input has become a ref that begins with input.
func readsOf(modules map[string]*ast.Module) Reads {
	var r Reads
	fields := map[string]bool{}
	for _, m := range modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if ref.Equal(ast.NowNanos.Ref()) {
				r.Time = true
			}
			if ref.HasPrefix(ast.InputRootRef) {
				r.note(ref, fields)
			}
			return false
		})
	}
	r.Cluster = slices.Sorted(maps.Keys(fields))
	if r.AllCluster {
		r.Cluster = nil
	}
	return r
}

func (r *Reads) note(ref ast.Ref, fields map[string]bool) {
	first, ok := constant(ref, 1)
	switch {
	case !ok:
		r.AllCluster, r.Commit = true, true
	case first == "commit":
		r.Commit = true
	case first == "cluster":
		field, ok := constant(ref, 2)
		if !ok {
			r.AllCluster = true
			return
		}
		if field == "labels" || field == "variables" {
			if key, ok := constant(ref, 3); ok {
				field += "." + key
			}
		}
		fields[field] = true
	}
}

func constant(ref ast.Ref, i int) (string, bool) {
	if i >= len(ref) {
		return "", false
	}
	text, ok := ref[i].Value.(ast.String)
	return string(text), ok
}

// of is the text of what a policy reads of a cluster: equal texts mean equal verdicts.
func (r Reads) of(c Cluster, commit string) (string, error) {
	whole := c.fields()
	var seen any = whole
	if !r.AllCluster {
		some := map[string]any{}
		for _, field := range r.Cluster {
			some[field] = c.field(field)
		}
		seen = some
	}
	if !r.Commit {
		commit = ""
	}
	data, err := json.Marshal([]any{seen, commit})
	return string(data), err
}

func (c Cluster) fields() map[string]any {
	labels := make(map[string]any, len(c.Labels))
	for key, value := range c.Labels {
		labels[key] = value
	}
	variables := c.Variables
	if variables == nil {
		variables = map[string]any{}
	}
	return map[string]any{"name": c.Name, "namespace": c.Namespace, "labels": labels, "variables": variables, "version": c.Version}
}

// field is the value of a field as Reads names it, in a list so that absent differs from null.
func (c Cluster) field(name string) []any {
	whole := c.fields()
	for _, outer := range []string{"labels", "variables"} {
		if len(name) > len(outer) && name[:len(outer)+1] == outer+"." {
			value, ok := whole[outer].(map[string]any)[name[len(outer)+1:]]
			if !ok {
				return nil
			}
			return []any{value}
		}
	}
	value, ok := whole[name]
	if !ok {
		return nil
	}
	return []any{value}
}
