package charts_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// What is switched on brings its rights, and no others; what answers apart holds no identity.
func TestPolicy(t *testing.T) {
	cases := map[string]struct {
		reason string
		policy map[string]any
		// objects by kind and name, and arguments of the agent, that are there; not are those that are not.
		objects, args, not []string
	}{
		"Off": {"by default nothing is evaluated", map[string]any{}, nil, nil, []string{"Service periplus-system/periplus-agent-admission", "--policy-points"}},
		"Audit": {"audit reads, and registers nothing", map[string]any{"audit": map[string]any{"enabled": true}},
			[]string{"ClusterRole /periplus-system:periplus-agent:audit"}, []string{"--policy-points=audit"},
			[]string{"ClusterRole /periplus-system:periplus-agent:registration", "Service periplus-system/periplus-agent-admission", "--owner"}},
		"Admission": {"the agent answers", map[string]any{"admission": map[string]any{"enabled": true}},
			[]string{"ClusterRole /periplus-system:periplus-agent:registration", "Service periplus-system/periplus-agent-admission"},
			[]string{"--policy-points=admission", "--admission-address=:9443", "--owner=periplus-system:periplus-agent:registration", "--admission-exclude=kube-system"},
			[]string{"Deployment periplus-system/periplus-agent-admission"}},
		"Apart": {"others answer", map[string]any{"admission": map[string]any{"enabled": true, "replicas": 2}},
			[]string{"Deployment periplus-system/periplus-agent-admission", "Role periplus-system/periplus-agent-admission"},
			[]string{"--policy-points=admission"}, []string{"--admission-address"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			given := values(t, "")
			given["policy"] = tc.policy
			_, objects, err := render(t, given)
			if err != nil {
				t.Fatal(err)
			}
			there := append(names(objects), find[appsv1.Deployment](t, objects, "Deployment", "periplus-agent").Spec.Template.Spec.Containers[0].Args...)
			for _, want := range append(tc.objects, tc.args...) {
				if !slices.Contains(there, want) {
					t.Errorf("%s: there is no %s in %v", tc.reason, want, there)
				}
			}
			for _, unwanted := range tc.not {
				if slices.ContainsFunc(there, func(one string) bool { return strings.HasPrefix(one, unwanted) }) {
					t.Errorf("%s: there is %s", tc.reason, unwanted)
				}
			}
		})
	}
}

// Who only answers reads two Secrets by name: the agent's identity is none of its business.
func TestAdmissionApartReadsTwoSecrets(t *testing.T) {
	given := values(t, "")
	given["policy"] = map[string]any{"admission": map[string]any{"enabled": true, "replicas": 2}}
	_, objects, err := render(t, given)
	if err != nil {
		t.Fatal(err)
	}
	rules := find[rbacv1.Role](t, objects, "Role", "periplus-agent-admission").Rules
	if len(rules) != 1 || !slices.Equal(rules[0].ResourceNames, []string{"periplus-policies", "periplus-admission"}) || !slices.Equal(rules[0].Verbs, []string{"get", "watch"}) {
		t.Errorf("its rights are %+v", rules)
	}
	pod := find[appsv1.Deployment](t, objects, "Deployment", "periplus-agent-admission").Spec.Template.Spec
	if pod.ServiceAccountName != "periplus-agent-admission" {
		t.Errorf("it runs as %q", pod.ServiceAccountName)
	}
}

func TestHealthRules(t *testing.T) {
	given := values(t, "")
	given["healthRules"] = map[string]any{"widgets.rego": "package health.widgets\n"}
	_, objects, err := render(t, given)
	if err != nil {
		t.Fatal(err)
	}
	if got := find[corev1.ConfigMap](t, objects, "ConfigMap", "periplus-agent-health-rules").Data["widgets.rego"]; got != "package health.widgets\n" {
		t.Errorf("the file is %q", got)
	}
	template := find[appsv1.Deployment](t, objects, "Deployment", "periplus-agent").Spec.Template
	if !slices.Contains(template.Spec.Containers[0].Args, "--health-rules=/etc/periplus/health") || template.Annotations["checksum/files"] == "" {
		t.Errorf("the agent is not told, or not started anew when they change: %+v", template)
	}
	given["healthRules"] = map[string]any{"widgets.txt": "x"}
	if _, _, err := render(t, given); err == nil {
		t.Error("a file that is no Rego is taken")
	}
}
