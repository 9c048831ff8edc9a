package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	rules "github.com/periplus-fleet/periplus/policies/health"
)

const healthIntro = `An object is Ready, Progressing or Failed. A kind of Kubernetes is judged by kstatus, as is every kind without a rule; the
kinds below have rules of their own, which read what each product reports. A rule that fails is never in the way: kstatus answers and the
message says which rule failed.

## Rules of your own

Give them to the agent by the value healthRules of its chart, a file by its name; it reads the *.rego files of the folder that
--health-rules names. A rule of yours wins over the one that ships for the same kind; a
file that is broken is left out, its file and line are in the agent's log, and the others work. A rule may call the same built-in functions
as a policy, and has a second. Its input is the live object:

` + "```rego" + `
# METADATA
# title: Our databases
# custom:
#   kinds: [Database.example.com]
package health.databases

default status := "Progressing"

status := "Ready" if input.status.state == "up"

message := sprintf("the database is %s", [input.status.state])
` + "```" + `

## Rules that ship

| Product | Kinds | File |
|---|---|---|
`

// health lists the kinds that policies/health has rules for.
func health() (string, error) {
	names, err := fs.Glob(rules.Files, "*.rego")
	if err != nil {
		return "", err
	}
	rows := map[string]string{}
	for _, name := range names {
		if name == "lib.rego" || strings.HasSuffix(name, "_test.rego") {
			continue
		}
		text, err := fs.ReadFile(rules.Files, name)
		if err != nil {
			return "", err
		}
		title, kinds, err := ruleOf(string(text))
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		rows[strings.ToLower(title)] = fmt.Sprintf("| %s | %s | `policies/health/%s` |\n", title, strings.Join(kinds, ", "), name)
	}
	var b strings.Builder
	b.WriteString("# Health\n\n" + notice + healthIntro)
	for _, title := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[title])
	}
	return b.String(), nil
}

// ruleOf reads the METADATA at the head of a rule.
func ruleOf(text string) (title string, kinds []string, err error) {
	head, _, found := strings.Cut(text, "\npackage ")
	head, is := strings.CutPrefix(head, "# METADATA\n")
	if !found || !is {
		return "", nil, errors.New("it does not begin with METADATA")
	}
	var m struct {
		Title  string `json:"title"`
		Custom struct {
			Kinds []string `json:"kinds"`
		} `json:"custom"`
	}
	err = yaml.Unmarshal([]byte(strings.ReplaceAll("\n"+head, "\n#", "\n")), &m)
	return m.Title, m.Custom.Kinds, err
}
