package check

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/workspace"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/verdict"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// explained prints what every policy has to do with an object.
func (o options) explained(cmd *cobra.Command, w *workspace.Workspace, result *offline.Result, now time.Time) error {
	points := []string{engine.PointCommit, engine.PointGate, engine.PointAdmission, engine.PointAudit}
	if !slices.Contains(points, o.point) {
		return client.Usage("--point %q: want one of %s", o.point, strings.Join(points, ", "))
	}
	if o.format != "table" && o.format != "json" {
		return client.Usage("-o %q: with --explain want table or json", o.format)
	}
	all, err := verdict.Explain(cmd.Context(), w.Fleet, result.Deliveries, o.point, func(id content.ObjectID) bool { return named(id, o.explain) }, now)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no bundle makes an object %q on the chosen clusters: name it kind/name, namespace/name or name, as periplus render shows it", o.explain)
	}
	if o.format == "json" {
		return explainJSON(cmd.OutOrStdout(), all)
	}
	for i, one := range all {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s of bundle %s on %s (%s), at %s\n\n", one.ID, one.Bundle, one.Cluster, output.Dash(one.Source), o.point)
		if err := explainTable(cmd.OutOrStdout(), one); err != nil {
			return err
		}
	}
	return nil
}

// named says whether a person means an object by kind/name, namespace/name or name.
func named(id content.ObjectID, text string) bool {
	before, name, two := strings.Cut(text, "/")
	if !two {
		return id.Name == text
	}
	return id.Name == name && (id.Namespace == before || strings.EqualFold(id.Kind, before) || strings.EqualFold(id.Kind+"."+id.Group, before))
}

func explainTable(out io.Writer, one verdict.Explained) error {
	p, err := output.New(out, io.Discard, "")
	if err != nil {
		return err
	}
	var rows [][]string
	for _, c := range one.Considered {
		action := fmt.Sprintf("%s (%s)", c.Effective.Action, from(c.Effective.ActionFrom))
		if c.NotAsked != "" {
			rows = append(rows, []string{c.Policy.Name, "not asked", "-", action, c.NotAsked, "-"})
			continue
		}
		if len(c.Findings) == 0 {
			rows = append(rows, []string{c.Policy.Name, "passes", parameters(c.Effective), action, "-", fmt.Sprintf("%s:%d", c.Policy.File, c.Policy.Line)})
		}
		for _, f := range c.Findings {
			message := f.Message
			if f.Exemption != "" {
				message += " (exempt by " + f.Exemption + ")"
			}
			rows = append(rows, []string{c.Policy.Name, f.Result, parameters(c.Effective), action, message, fmt.Sprintf("%s:%d", f.File, f.Line)})
		}
	}
	return p.Table([]string{"POLICY", "RESULT", "PARAMETERS", "ACTION", "WHY", "RULE"}, rows)
}

// from names what set something: a binding, or the policy itself.
func from(o engine.Origin) string {
	if o.Binding == "" {
		return "itself"
	}
	return o.Binding + ", " + o.Source
}

// parameters with what set those that a binding did.
func parameters(e engine.Effective) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		value, err := json.Marshal(e.Parameters[name])
		if err != nil {
			continue
		}
		text := name + "=" + string(value)
		if origin := e.ParametersFrom[name]; origin.Binding != "" {
			text += " (" + from(origin) + ")"
		}
		out = append(out, text)
	}
	return output.Dash(strings.Join(out, " "))
}

func explainJSON(out io.Writer, all []verdict.Explained) error {
	items := []object{}
	for _, one := range all {
		policies := []object{}
		for _, c := range one.Considered {
			findings := []object{}
			for _, f := range c.Findings {
				findings = append(findings, object{"result": f.Result, "message": f.Message, "rule": f.Rule, "file": f.File, "line": f.Line, "exemption": f.Exemption})
			}
			item := object{"policy": c.Policy.Name, "notAsked": c.NotAsked, "action": c.Effective.Action, "actionFrom": from(c.Effective.ActionFrom),
				"parameters": c.Effective.Parameters, "findings": findings}
			policies = append(policies, item)
		}
		items = append(items, object{"object": one.ID.String(), "bundle": one.Bundle, "cluster": one.Cluster, "source": one.Source, "policies": policies})
	}
	return indented(out, object{"items": items})
}
