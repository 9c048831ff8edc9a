package policy

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
)

const rego = "package p\n\ndeny contains \"a\" if input.a\n\ndeny contains \"b\" if {\n\tinput.b\n\tinput.c\n}\n"

func run(t *testing.T, args ...string) (out, messages string, code int) {
	t.Helper()
	cmd := Command(func() time.Time { return time.Unix(1, 0) })
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(append([]string{"test"}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		stderr.WriteString(err.Error())
	}
	return stdout.String(), stderr.String(), client.ExitCode(err)
}

func TestPolicyTest(t *testing.T) {
	good, bad, none := t.TempDir(), t.TempDir(), t.TempDir()
	offlinetest.Write(t, good, map[string]string{"p.rego": rego, "p_test.rego": "package p_test\n\nimport data.p\n\ntest_a if p.deny == {\"a\"} with input as {\"a\": true}\n"})
	offlinetest.Write(t, bad, map[string]string{"p.rego": rego, "p_test.rego": "package p_test\n\nimport data.p\n\ntest_a if p.deny == {\"z\"} with input as {\"a\": true}\n"})
	conftest := t.TempDir()
	offlinetest.Write(t, conftest, map[string]string{
		"a.rego":          "package main\n\nimport data.services\n\ndeny_port[msg] {\n  port := input.spec.ports[_].port\n  port == services.ports[_]\n  msg := sprintf(\"port %d\", [port])\n}\n",
		"data/ports.yaml": "services: {ports: [22]}\n",
		"a_test.rego": "package main\n\ntest_file { deny_port[\"port 22\"] with input as parse_config_file(\"fixtures/s.yaml\") }\n\n" +
			"test_text { count(deny_port) == 0 with input as parse_config(\"yaml\", \"spec: {ports: [{port: 80}]}\") }\n\n" +
			"test_two { parse_combined_config_files([\"fixtures/s.yaml\"])[0].contents.kind == \"Service\" }\n\ntest_shadow {\n  input := {\"spec\": {\"ports\": [{\"port\": 22}]}}\n  deny_port with input as input\n}\n",
		"fixtures/s.yaml": "kind: Service\nspec: {ports: [{port: 22}]}\n",
	})
	missing := t.TempDir()
	offlinetest.Write(t, missing, map[string]string{"a_test.rego": "package main\n\ntest_a { parse_config_file(\"none.yaml\") }\n"})
	suites := "../../../../policies/suite/testdata"
	cases := map[string]struct {
		reason string
		args   []string
		code   int
		want   string
	}{
		"Pass":      {"", []string{good}, 0, "1 passed, 0 failed, 0 skipped"},
		"Fail":      {"", []string{bad}, 1, "0 passed, 1 failed"},
		"Suites":    {"samples stand beside", []string{suites}, 0, "11 passed, 0 failed, 1 skipped"},
		"Both":      {"all paths in one go", []string{good, suites}, 0, "12 passed"},
		"Threshold": {"no test reaches the second rule", []string{good, "--threshold", "99"}, 1, "less than 99%"},
		"None":      {"nothing tested is no success", []string{none}, 1, "there are no tests"},
		"Missing":   {"", []string{none + "/x"}, 1, "cannot find tests"},
		"Usage":     {"", []string{"-o", "xml"}, 2, "want table, json or junit"},
		"Conftest":  {"v0, data, and fixtures beside the tests", []string{conftest}, 0, "4 passed, 0 failed"},
		"NoFixture": {"what is not there is no success", []string{missing}, 1, "0 passed, 1 failed"},
		"OneFile":   {"", []string{good + "/p_test.rego"}, 0, "1 passed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, messages, code := run(t, c.args...); code != c.code || !strings.Contains(messages, c.want) {
				t.Errorf("%s: want exit code %d and %q, got %d: %s", c.reason, c.code, c.want, code, messages)
			}
		})
	}
	t.Run("Coverage", func(t *testing.T) {
		if out, _, _ := run(t, good, "--coverage"); !strings.Contains(out, "p.rego") || !strings.Contains(out, "\t5") && !strings.Contains(out, "7") {
			t.Errorf("want the lines that no test reaches, got %q", out)
		}
	})
	t.Run("Formats", func(t *testing.T) {
		var answer report
		out, _, _ := run(t, bad, "-o", "json")
		if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Failed != 1 || answer.Tests[0].Line != 5 {
			t.Errorf("unexpected JSON (%v): %s", err, out)
		}
		var junit struct {
			Failures int `xml:"failures,attr"`
		}
		out, _, _ = run(t, bad, "-o", "junit")
		if err := xml.Unmarshal([]byte(out), &junit); err != nil || junit.Failures != 1 {
			t.Errorf("unexpected JUnit (%v): %s", err, out)
		}
	})
}
