package podrunner_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/clusters/local/podrunner"
)

func TestArguments(t *testing.T) {
	env := map[string]string{"HUB": "127.0.0.1:7443"}
	cases := map[string]struct {
		reason    string
		container corev1.Container
		want      []string
	}{
		"Args":         {reason: "args follow the binary", container: corev1.Container{Args: []string{"--a", "b"}}, want: []string{"--a", "b"}},
		"Command":      {reason: "the command's first word is the binary, which is another here", container: corev1.Container{Command: []string{"/agent", "run"}, Args: []string{"-v"}}, want: []string{"run", "-v"}},
		"Variable":     {reason: "variables are filled in as by a kubelet", container: corev1.Container{Args: []string{"--hub=$(HUB)"}}, want: []string{"--hub=127.0.0.1:7443"}},
		"Unknown":      {reason: "an unknown variable stays as it is written", container: corev1.Container{Args: []string{"$(NO) $(HUB"}}, want: []string{"$(NO) $(HUB"}},
		"EscapedIsNot": {reason: "$$ is a dollar", container: corev1.Container{Args: []string{"$$(HUB) 5$"}}, want: []string{"$(HUB) 5$"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, podrunner.Arguments(tc.container, env)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
