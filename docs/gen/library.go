package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/library"
)

// workloads stand in every other policy; their list is said once.
const workloads = "Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch"

// policies lists what policies/library holds, from the METADATA of each policy.
func policies() (string, error) {
	names, err := fs.Glob(library.Files, "*.rego")
	if err != nil {
		return "", err
	}
	var source engine.Source
	for _, name := range names {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		text, err := fs.ReadFile(library.Files, name)
		if err != nil {
			return "", err
		}
		source.Modules = append(source.Modules, engine.File{Path: name, Text: string(text)})
	}
	snapshot, refusals := engine.Load(source, nil)
	if len(refusals) > 0 {
		return "", fmt.Errorf("cannot load the library: %+v", refusals)
	}
	all := snapshot.Policies()

	var b strings.Builder
	b.WriteString("# The policy library\n\n" + notice)
	b.WriteString("The policies of `policies/library`, each with its tests. Copy those that you want into the `policies/` folder of the fleet\n")
	b.WriteString("repo: what is in force stands in Git. Parameters are set by a PolicyBinding, exceptions made by a PolicyExemption.\n")
	b.WriteString("\"Workloads\" are the kinds that run pods: " + workloads + ".\n\n")
	b.WriteString("| Policy | Says | Concerns | Severity | Action | Controls |\n|---|---|---|---|---|---|\n")
	for _, p := range all {
		m := p.Metadata
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", p.Name, p.Name, m.Title, concerns(m.Kinds), m.Severity, m.Action, strings.Join(m.Controls, ", "))
	}
	for _, p := range all {
		m := p.Metadata
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s\n\n- Remediation: %s\n- Points: %s\n", p.Name, strings.TrimSuffix(m.Title, "."), m.Description, m.Remediation, strings.Join(m.Points, ", "))
		if len(m.Parameters) == 0 {
			continue
		}
		defaults, err := json.Marshal(m.Parameters)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "- Parameters and their defaults: `%s`\n", defaults)
	}
	return b.String(), nil
}

func concerns(kinds []string) string {
	text := strings.Join(kinds, ", ")
	switch text {
	case "", "*":
		return "every kind"
	case workloads:
		return "workloads"
	default:
		return text
	}
}
