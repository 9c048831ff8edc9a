package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

var now = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// policy is a module with METADATA; custom lines are indented as YAML below custom.
func policy(name, body string, custom ...string) File {
	text := "# METADATA\n# custom:\n#   input: periplus\n"
	for _, line := range custom {
		text += "#   " + line + "\n"
	}
	return File{Path: "policies/" + name + ".rego", Text: text + "package " + name + "\n\n" + body + "\n"}
}

func object(apiVersion, kind, name string, more map[string]any) map[string]any {
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}}
	for key, value := range more {
		o[key] = value
	}
	return o
}

func bind(name, policy string, labels map[string]string, action v1alpha1.PolicyAction, parameters map[string]string) Binding {
	b := Binding{Source: "policies/bindings.yaml:7"}
	b.Metadata.Name = name
	b.Spec = v1alpha1.PolicyBindingSpec{Policy: policy, ClusterSelector: metav1.LabelSelector{MatchLabels: labels}, Action: action}
	for key, raw := range parameters {
		if b.Spec.Parameters == nil {
			b.Spec.Parameters = map[string]apiextensionsv1.JSON{}
		}
		b.Spec.Parameters[key] = apiextensionsv1.JSON{Raw: []byte(raw)}
	}
	return b
}

func load(t *testing.T, source Source) *Snapshot {
	t.Helper()
	s, refusals := Load(source, nil)
	if len(refusals) > 0 {
		t.Fatalf("refused: %+v", refusals)
	}
	return s
}

const always = `deny contains "no" if true`

func TestLoadRefuses(t *testing.T) {
	type want struct {
		Line    int32
		Message string
	}
	cases := map[string]struct {
		reason string
		source Source
		want   want
	}{
		"UnknownCustomKey":     {"a mistyped key must not be ignored", Source{Modules: []File{policy("p", always, "kindz: [Pod]")}}, want{4, "unknown key custom.kindz"}},
		"ConstraintTemplate":   {"a later shape is refused by name", Source{Modules: []File{{"t.yaml", "apiVersion: x\nkind: ConstraintTemplate\n"}}}, want{2, "ConstraintTemplate is not supported"}},
		"NoMetadata":           {"what a policy reads must be stated", Source{Modules: []File{{"n.rego", "package p\ndeny contains \"x\" if input.containers"}}}, want{2, "has no METADATA, and reads input.containers"}},
		"Network":              {"policies reach no network", Source{Modules: []File{policy("p", `deny contains "x" if http.send({"method": "get", "url": "http://x"})`)}}, want{6, "http.send"}},
		"Environment":          {"policies reach no environment", Source{Modules: []File{policy("p", `deny contains "x" if opa.runtime().env.HOME`)}}, want{6, "opa.runtime"}},
		"Random":               {"verdicts are deterministic", Source{Modules: []File{policy("p", `deny contains "x" if rand.intn("x", 2) == 1`)}}, want{6, "rand.intn"}},
		"Unparsable":           {"the parser's place is reported", Source{Modules: []File{policy("p", "deny contains {")}}, want{7, "rego_parse_error"}},
		"UnusedVariable":       {"strict mode is on", Source{Modules: []File{policy("p", "deny contains \"x\" if {\n\tx := 1\n}")}}, want{7, "unused"}},
		"OtherPackage":         {"another policy's rules are undefined here and would never fire", Source{Modules: []File{policy("p", `deny contains "x" if data.q.deny`)}}, want{6, "data.q.deny is neither in package p"}},
		"CompleteRule":         {"deny must be a set", Source{Modules: []File{policy("p", `deny := "x"`)}}, want{6, "deny must be a set of messages"}},
		"BadAction":            {"", Source{Modules: []File{policy("p", always, "action: block")}}, want{4, "unknown custom.action"}},
		"WrongType":            {"", Source{Modules: []File{policy("p", always, "kinds: Pod")}}, want{4, "custom.kinds must not be a string"}},
		"BindingWithoutPolicy": {"", Source{Bindings: []Binding{bind("b", "p", nil, "warn", nil)}}, want{7, `policy "p", which is not in force`}},
		"UnknownParameter": {"", Source{Modules: []File{policy("p", always)}, Bindings: []Binding{bind("b", "p", nil, "", map[string]string{"x": "1"})}},
			want{7, `has no parameter "x"`}},
		"TiedBindings": {"equal selectors can be seen to tie without a cluster", Source{Modules: []File{policy("p", always)},
			Bindings: []Binding{bind("a", "p", nil, "warn", nil), bind("b", "p", nil, "audit", nil)}}, want{7, `"a" and "b" set action`}},
		"ExemptionWithoutExpiry": {"every field is required", Source{Modules: []File{policy("p", always)}, Exemptions: []Exemption{{Source: "e.yaml:3", PolicyExemption: v1alpha1.PolicyExemption{
			Metadata: v1alpha1.FileMeta{Name: "e"}, Spec: v1alpha1.PolicyExemptionSpec{Policy: "p", Objects: []v1alpha1.ObjectMatch{{}}, Reason: "r", Owner: "o"}}}}}, want{3, "needs spec.expires"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, refusals := Load(c.source, nil)
			if len(refusals) != 1 {
				t.Fatalf("%s: want one refusal, got %+v", c.reason, refusals)
			}
			got := want{refusals[0].Line, refusals[0].Message}
			if !strings.Contains(got.Message, c.want.Message) {
				t.Errorf("%s: message %q does not say %q", c.reason, got.Message, c.want.Message)
			}
			got.Message = c.want.Message
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func TestReview(t *testing.T) {
	prod := Cluster{Name: "eu-1", Labels: map[string]string{"env": "prod", "region": "eu"}}
	says := func(text string) File {
		return policy("p", `deny contains sprintf("%v", [input.`+text+`])`, "parameters: {x: 1, y: 1}")
	}
	exemption := func(expires time.Time) []Exemption {
		return []Exemption{{Source: "e.yaml:1", PolicyExemption: v1alpha1.PolicyExemption{Metadata: v1alpha1.FileMeta{Name: "legacy"}, Spec: v1alpha1.PolicyExemptionSpec{
			Policy: "p", Objects: []v1alpha1.ObjectMatch{{Kind: "ConfigMap", Name: "c*"}}, Reason: "r", Owner: "o", Expires: metav1.NewTime(expires)}}}}
	}
	type want struct{ Action, Result, Message, Exemption string }
	cases := map[string]struct {
		reason string
		source Source
		want   []want
	}{
		"Deny":  {"", Source{Modules: []File{says("name")}}, []want{{"deny", "fail", "c", ""}}},
		"Other": {"the index keeps out what cannot match", Source{Modules: []File{policy("p", always, "kinds: [ConfigMap.apps]")}}, nil},
		"Point": {"a policy may leave out a point", Source{Modules: []File{policy("p", always, "points: [audit]")}}, nil},
		"Warn":  {"a warn rule never denies", Source{Modules: []File{policy("p", `warn contains "w"`)}}, []want{{"warn", "warn", "w", ""}}},
		"NarrowestPerField": {"action from one binding, a parameter from another", Source{Modules: []File{says("parameters")}, Bindings: []Binding{
			bind("a", "p", map[string]string{"env": "prod", "region": "eu"}, "", map[string]string{"x": "3"}),
			bind("b", "p", map[string]string{"env": "prod"}, "warn", map[string]string{"x": "2", "y": "2"})}},
			[]want{{"warn", "warn", `{"x": 3, "y": 2}`, ""}}},
		"Tie": {"a tie is an error, with the strictest action", Source{Modules: []File{says("name")}, Bindings: []Binding{
			bind("a", "p", map[string]string{"env": "prod"}, "warn", nil), bind("b", "p", map[string]string{"region": "eu"}, "deny", nil)}},
			[]want{{"deny", "error", `cannot decide action of policy "p": PolicyBindings "a" and "b" match the cluster with equally narrow selectors`, ""}}},
		"Exempt":  {"", Source{Modules: []File{says("name")}, Exemptions: exemption(now.Add(1))}, []want{{"deny", "skip", "c", "legacy"}}},
		"Expired": {"", Source{Modules: []File{says("name")}, Exemptions: exemption(now)}, []want{{"deny", "fail", "c", ""}}},
		"BuiltinError": {"a built-in error makes a rule undefined: it must not pass", Source{Modules: []File{policy("p", `deny contains "x" if to_number(input.name) > 1`)}},
			[]want{{"deny", "error", `policy "p": to_number: strconv.ParseFloat: parsing "c": invalid syntax`, ""}}},
		"Conflict": {"an evaluation error must not pass", Source{Modules: []File{policy("p", "deny contains \"x\" if f(1) == 1\n\nf(_) := 1\n\nf(_) := 2")}},
			[]want{{"deny", "error", `cannot evaluate policy "p": policies/p.rego:10: eval_conflict_error: function data.p.f produced conflicting values for the same inputs: 1 at policies/p.rego:8 2 at policies/p.rego:10`, ""}}},
		"Time": {"the clock is the caller's", Source{Modules: []File{policy("p", `deny contains sprintf("%d", [time.now_ns()])`)}},
			[]want{{"deny", "fail", "1767312000000000000", ""}}},
		"Library": {"", Source{Modules: []File{policy("p", "import data.lib.x\n\ndeny contains x.text"), {"lib/x.rego", "package lib.x\n\ntext := \"shared\""}}},
			[]want{{"deny", "fail", "shared", ""}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			findings, err := load(t, c.source).Review(context.Background(), Input{Object: object("v1", "ConfigMap", "c", nil), Cluster: prod}, "", PointGate, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []want
			for _, f := range findings {
				got = append(got, want{string(f.Action), f.Result, f.Message, f.Exemption})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func TestBrokenPolicyFreezes(t *testing.T) {
	good := load(t, Source{Modules: []File{policy("p", always), policy("q", always)}})
	broken := policy("p", "deny contains {")
	next, refusals := Load(Source{Modules: []File{broken}}, good)
	if len(refusals) != 1 {
		t.Fatalf("want one refusal, got %+v", refusals)
	}
	if len(next.Policies()) != 1 || next.Policies()[0].Digest != good.policies["p"].Digest || next.Policies()[0].Frozen == "" {
		t.Errorf("p must be frozen and q gone, got %+v", next.Policies())
	}
	fixed, _ := Load(Source{Modules: []File{policy("p", always)}}, next)
	if p := fixed.policies["p"]; p == nil || p.Frozen != "" {
		t.Errorf("p must be thawed, got %+v", p)
	}
}

func TestReads(t *testing.T) {
	cases := map[string]struct {
		body string
		want Reads
	}{
		"Nothing":   {`deny contains input.name`, Reads{}},
		"Label":     {`deny contains input.cluster.labels.env`, Reads{Cluster: []string{"labels.env"}}},
		"Labels":    {`deny contains l if some l in input.cluster.labels`, Reads{Cluster: []string{"labels"}}},
		"Alias":     {"deny contains c.name if {\n\tc := input.cluster\n}", Reads{AllCluster: true}},
		"Dynamic":   {`deny contains input.cluster[k] if some k in ["name"]`, Reads{AllCluster: true}},
		"Whole":     {`deny contains json.marshal(input)`, Reads{AllCluster: true, Commit: true}},
		"Function":  {"deny contains \"x\" if f(input)\n\nf(i) if i.cluster.name == \"a\"", Reads{AllCluster: true, Commit: true}},
		"Commit":    {`deny contains input.commit`, Reads{Commit: true}},
		"Time":      {`deny contains "x" if time.now_ns() > 1`, Reads{Time: true}},
		"TimeAlias": {`deny contains "x" if time.clock(time.now_ns())[0] > 1`, Reads{Time: true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, load(t, Source{Modules: []File{policy("p", c.body)}}).policies["p"].Reads); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSecretValuesAreMasked(t *testing.T) {
	s := load(t, Source{Modules: []File{policy("p", `deny contains sprintf("%v %v", [input.object.data.a, base64.decode(input.object.data.a)])`)}})
	findings, err := s.Review(context.Background(), Input{Object: object("v1", "Secret", "s", map[string]any{"data": map[string]any{"a": "aHVudGVyMg=="}})}, "", PointGate, now)
	if err != nil || len(findings) != 1 || findings[0].Message != "*** ***" {
		t.Errorf("want a masked message, got %+v, %v", findings, err)
	}
}

func TestBrokenLibraryFreezesItsUsers(t *testing.T) {
	user := policy("p", "import data.lib.x\n\ndeny contains m if some m in x.messages")
	a, b := File{"lib/a.rego", "package lib.x\n\nmessages contains \"a\""}, File{"lib/b.rego", "package lib.x\n\nmessages contains \"b\""}
	good := load(t, Source{Modules: []File{user, a, b}})
	b.Text = "package lib.x\n\nmessages contains {"
	next, _ := Load(Source{Modules: []File{user, a, b}}, good)
	if p := next.policies["p"]; p == nil || p.Frozen == "" || p.Digest != good.policies["p"].Digest {
		t.Errorf("p must be frozen with both files of its library, got %+v", p)
	}
}
