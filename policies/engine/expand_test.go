package engine

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func expansionOf(t testing.TB, name, group, kind, source, madeGroup, made, more string) Manifest {
	return manifest(t, "kind: ExpansionTemplate\nmetadata: {name: "+name+"}\nspec:\n  applyTo: [{groups: ['"+group+"'], versions: [v1], kinds: ["+kind+"]}]\n"+
		"  templateSource: "+source+"\n  generatedGVK: {group: '"+madeGroup+"', version: v1, kind: "+made+"}\n"+more)
}

const hostNetwork = `package owner violation[{"msg": msg}] { input.review.object.spec.hostNetwork; msg := sprintf("%v %v/%v on the host", [input.review.kind.kind, input.review.namespace, input.review.object.metadata.name]) }`

func TestExpansion(t *testing.T) {
	pods := "kinds: [{apiGroups: [''], kinds: [Pod]}]"
	deployment := expansionOf(t, "deployments", "apps", "Deployment", "spec.template", "", "Pod", "")
	job := expansionOf(t, "jobs", "batch", "Job", "spec.template", "", "Pod", "")
	cron := expansionOf(t, "crons", "batch", "CronJob", "spec.jobTemplate", "batch", "Job", "")
	pod := map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": map[string]any{"hostNetwork": true}}}
	web, bare := object("apps/v1", "Deployment", "web", map[string]any{"spec": pod}), object("apps/v1", "Deployment", "bare", nil)
	nightly := object("batch/v1", "CronJob", "nightly", map[string]any{"spec": map[string]any{"jobTemplate": map[string]any{"spec": pod}}})
	cases := map[string]struct {
		reason     string
		spec       string
		expansions []Manifest
		object     map[string]any
		want       string
	}{
		"None":      {"without a template nothing is made", "{match: {" + pods + "}}", nil, web, ""},
		"Pod":       {"", "{match: {" + pods + "}}", []Manifest{deployment}, web, "deny fail [Implied by deployments] Pod shop/web-pod on the host"},
		"Original":  {"", "{match: {source: Original, " + pods + "}}", []Manifest{deployment}, web, ""},
		"Generated": {"", "{match: {source: Generated, " + pods + "}}", []Manifest{deployment}, web, "deny fail [Implied by deployments] Pod shop/web-pod on the host"},
		"Label":     {"the template's own labels count", "{match: {labelSelector: {matchLabels: {a: b}}, " + pods + "}}", []Manifest{deployment}, web, "deny fail [Implied by deployments] Pod shop/web-pod on the host"},
		"Namespace": {"it lives where its maker does", "{match: {excludedNamespaces: [shop], " + pods + "}}", []Manifest{deployment}, web, ""},
		"OtherKind": {"", "{match: {" + pods + "}}", []Manifest{job}, web, ""},
		"Twice":     {"what is made is expanded again", "{match: {" + pods + "}}", []Manifest{cron, job}, nightly, "deny fail [Implied by jobs] Pod shop/nightly-job-pod on the host"},
		"Action": {"the template may soften", "{match: {" + pods + "}}", []Manifest{expansionOf(t, "deployments", "apps", "Deployment", "spec.template", "", "Pod", "  enforcementAction: warn\n")}, web,
			"warn warn [Implied by deployments] Pod shop/web-pod on the host"},
		"NoTemplate": {"what cannot be looked at must not pass", "{match: {" + pods + "}}", []Manifest{deployment}, bare, `deny error [Implied by deployments] ExpansionTemplate "deployments": Deployment.apps shop/bare has no spec.template`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := load(t, Source{Gatekeeper: append([]Manifest{ownerTemplate(t, strings.ReplaceAll(hostNetwork, "'", "''")), ownerConstraint(t, c.spec)}, c.expansions...)})
			findings, err := s.Review(context.Background(), Input{Object: c.object}, "", PointGate, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, string(f.Action)+" "+f.Result+" "+f.Message)
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("%s: want %q, got %q", c.reason, c.want, got)
			}
		})
	}
}

func TestExpansionIsExempt(t *testing.T) {
	exempt := Exemption{Source: "e.yaml:1", PolicyExemption: v1alpha1.PolicyExemption{Metadata: v1alpha1.FileMeta{Name: "legacy"}, Spec: v1alpha1.PolicyExemptionSpec{Policy: "owner/all",
		Objects: []v1alpha1.ObjectMatch{{Group: "apps", Kind: "Deployment", Name: "web"}}, Reason: "r", Owner: "o"}}}
	exempt.Spec.Expires.Time = now.AddDate(0, 0, 1)
	s := load(t, Source{Gatekeeper: []Manifest{ownerTemplate(t, hostNetwork), ownerConstraint(t, "{}"), expansionOf(t, "d", "apps", "Deployment", "spec.template", "", "Pod", "")}, Exemptions: []Exemption{exempt}})
	web := object("apps/v1", "Deployment", "web", map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"hostNetwork": true}}}})
	if findings, err := s.Review(context.Background(), Input{Object: web}, "", PointGate, now); err != nil || len(findings) != 1 || findings[0].Result != ResultSkip {
		t.Errorf("who exempts a Deployment exempts its Pod, got %+v, %v", findings, err)
	}
}

func TestExpansionKinds(t *testing.T) {
	declared := []Manifest{ownerTemplate(t, hostNetwork), ownerConstraint(t, "{match: {kinds: [{apiGroups: [''], kinds: [Pod]}]}}"),
		expansionOf(t, "crons", "batch", "CronJob", "spec.jobTemplate", "batch", "Job", ""), expansionOf(t, "jobs", "batch", "Job", "spec.template", "", "Pod", ""),
		expansionOf(t, "sets", "x.io", "Set", "spec.x", "x.io", "One", "")}
	s := load(t, Source{Gatekeeper: declared})
	got, all := s.Kinds(PointAudit)
	if diff := cmp.Diff([]schema.GroupKind{{Kind: "Pod"}, {Group: "batch", Kind: "CronJob"}, {Group: "batch", Kind: "Job"}}, got); diff != "" || all {
		t.Errorf("whoever watches must watch what Pods are made of, -want +got:\n%s", diff)
	}
	if again := load(t, s.For(Cluster{}, now, PointAudit)); again.Digest != s.Digest {
		t.Error("a cluster's part must hold the expansions")
	}
	fewer := load(t, Source{Gatekeeper: declared[:3]})
	if fewer.Digest == s.Digest || !s.Since(fewer)("batch", "CronJob") {
		t.Error("an ExpansionTemplate changes verdicts")
	}
	changed := load(t, Source{Gatekeeper: append([]Manifest{ownerTemplate(t, hostNetwork), ownerConstraint(t, "{enforcementAction: warn, match: {kinds: [{apiGroups: [''], kinds: [Pod]}]}}")}, declared[2:]...)})
	if touches := changed.Since(s); !touches("batch", "CronJob") || touches("x.io", "Set") {
		t.Error("a constraint about Pods concerns CronJobs, which make them, and nothing else")
	}
	_, refusals := Load(Source{Gatekeeper: []Manifest{manifest(t, "kind: ExpansionTemplate\nmetadata: {name: x}\nspec: {applyTo: [{kinds: [A]}]}\n")}}, nil)
	if len(refusals) != 1 || refusals[0].Field != "spec.templateSource" {
		t.Errorf("want a refusal, got %+v", refusals)
	}
}
