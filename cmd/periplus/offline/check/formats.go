package check

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

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

type (
	testSuites struct {
		XMLName  xml.Name    `xml:"testsuites"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Suites   []testSuite `xml:"testsuite"`
	}
	testSuite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	testCase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Failure *failure `xml:"failure"`
		Skipped *failure `xml:"skipped"`
		Output  string   `xml:"system-out,omitempty"`
	}
	failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a suite for each policy; a policy that found nothing is one passed case.
func writeJUnit(out io.Writer, report *verdict.Report) error {
	var all testSuites
	for _, p := range report.Policies {
		suite := testSuite{Name: p.Name}
		for _, f := range report.Findings {
			if f.Policy != p.Name {
				continue
			}
			one := testCase{Name: f.Object.String(), Class: p.Name}
			switch {
			case f.Denies():
				suite.Failures++
				one.Failure = &failure{Message: f.Message, Text: strings.TrimSpace(f.Source + "\n" + text(f) + "\n" + f.PolicySource)}
			case f.Result == engine.ResultSkip:
				one.Skipped = &failure{Message: "PolicyExemption " + f.Exemption}
			default:
				one.Output = f.Result + ": " + text(f)
			}
			suite.Cases = append(suite.Cases, one)
		}
		if len(suite.Cases) == 0 {
			suite.Cases = []testCase{{Name: "nothing found", Class: p.Name}}
		}
		suite.Tests = len(suite.Cases)
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}
