package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/junit"
	"github.com/periplus-fleet/periplus/hub/offline/verdict"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// finding is one of the JSON output.
type finding struct {
	Policy    string   `json:"policy"`
	Action    string   `json:"action"`
	Result    string   `json:"result"`
	Denies    bool     `json:"denies"`
	Object    string   `json:"object"`
	Message   string   `json:"message"`
	Source    string   `json:"source,omitempty"`
	Rule      string   `json:"rule"`
	Bundle    string   `json:"bundle,omitempty"`
	Clusters  []string `json:"clusters,omitempty"`
	Exemption string   `json:"exemption,omitempty"`
}

func writeJSON(out io.Writer, report *verdict.Report) error {
	answer := struct {
		Policies int       `json:"policies"`
		Objects  int       `json:"objects"`
		Denied   int       `json:"denied"`
		Findings []finding `json:"findings"`
	}{len(report.Policies), report.Objects, report.Denied(), []finding{}}
	for _, f := range report.Findings {
		answer.Findings = append(answer.Findings, finding{f.Policy, f.Action, f.Result, f.Denies(), f.Object.String(), f.Message, f.Source, f.PolicySource,
			f.Bundle, f.Clusters, f.Exemption})
	}
	return indented(out, answer)
}

func indented(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

type object = map[string]any

// writeSARIF writes version 2.1.0, which code hosts show beside the lines of a change. A result's place is where its object
// comes from.
func writeSARIF(out io.Writer, report *verdict.Report) error {
	rules := []object{}
	for _, p := range report.Policies {
		rule := object{"id": p.Name, "properties": object{"severity": p.Metadata.Severity, "controls": p.Metadata.Controls}}
		for field, text := range map[string]string{"shortDescription": p.Metadata.Title, "fullDescription": p.Metadata.Description, "help": p.Metadata.Remediation} {
			if text != "" {
				rule[field] = object{"text": text}
			}
		}
		rules = append(rules, rule)
	}
	results := []object{}
	for _, f := range report.Findings {
		result := object{"ruleId": f.Policy, "level": level(f), "message": object{"text": text(f)}}
		if file, line := f.Place(); file != "" {
			physical := object{"artifactLocation": object{"uri": file}}
			if number, err := strconv.Atoi(line); err == nil && number > 0 {
				physical["region"] = object{"startLine": number}
			}
			result["locations"] = []object{{"physicalLocation": physical}}
		}
		if f.Result == engine.ResultSkip {
			result["suppressions"] = []object{{"kind": "external", "justification": "PolicyExemption " + f.Exemption}}
		}
		results = append(results, result)
	}
	return indented(out, object{"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []object{{"tool": object{"driver": object{"name": "periplus", "rules": rules}}, "results": results}}})
}

func level(f verdict.Finding) string {
	switch {
	case f.Denies():
		return "error"
	case f.Result == engine.ResultSkip:
		return "none"
	case f.Action == "audit":
		return "note"
	default:
		return "warning"
	}
}

func text(f verdict.Finding) string {
	out := fmt.Sprintf("%s: %s", f.Object, f.Message)
	if len(f.Clusters) > 0 {
		out += " (on " + where(f) + ")"
	}
	return out
}

// writeJUnit writes a suite for each policy; a policy that found nothing is one passed case.
func writeJUnit(out io.Writer, report *verdict.Report) error {
	var all junit.Suites
	for _, p := range report.Policies {
		suite := junit.Suite{Name: p.Name}
		for _, f := range report.Findings {
			if f.Policy != p.Name {
				continue
			}
			one := junit.Case{Name: f.Object.String(), Class: p.Name}
			switch {
			case f.Denies():
				one.Failure = &junit.Note{Message: f.Message, Text: strings.TrimSpace(f.Source + "\n" + text(f) + "\n" + f.PolicySource)}
			case f.Result == engine.ResultSkip:
				one.Skipped = &junit.Note{Message: "PolicyExemption " + f.Exemption}
			default:
				one.Output = f.Result + ": " + text(f)
			}
			suite.Cases = append(suite.Cases, one)
		}
		if len(suite.Cases) == 0 {
			suite.Cases = []junit.Case{{Name: "nothing found", Class: p.Name}}
		}
		all.Add(suite)
	}
	return all.Write(out)
}
