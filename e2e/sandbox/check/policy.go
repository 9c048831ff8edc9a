package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// registration is what the agent makes where its chart's values switch admission on.
const registration = "periplus-system-periplus-agent-admission"

var denial = regexp.MustCompile(`policy check_forbidden denies ConfigMap ` + namespace + `/wrong: [^\n"]*\(policies/check_forbidden\.rego:\d+\)`)

// everyPoint: one wrong object is told of in the same words at commit, at the gate and at admission; one that is older than the
// policy is found by audit. A cluster's declaration switches it on and off.
func everyPoint(ctx context.Context, w *world) error {
	file, name, err := w.someCluster()
	if err != nil {
		return err
	}
	m, err := w.member(ctx, name)
	if err != nil {
		return err
	}
	if err := m.client.Create(ctx, forbidden("older")); err != nil {
		return err
	}
	commit, declared, err := w.enforce(ctx, file)
	if err == nil {
		err = w.settle(ctx, commit)
	}
	if err == nil {
		err = eventually(ctx, "policies are registered for admission", func() error { return m.registered(ctx, true) })
	}
	if err != nil {
		return err
	}
	atAdmission, err := m.refused(ctx)
	if err == nil {
		err = w.sameWords(ctx, name, atAdmission)
	}
	if err == nil {
		err = eventually(ctx, "audit finds what is older than the policy", func() error {
			out, err := w.periplus(ctx, "get", "policyresults", "--cluster", name, "--point", "audit")
			if want := "ConfigMap " + namespace + "/older"; err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("no %q in:\n%s", want, out)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	if err := m.client.Delete(ctx, forbidden("older")); err != nil {
		return err
	}
	commit, _, err = w.commit(ctx, "No policies in the cluster", func(folder string) error {
		return errors.Join(os.WriteFile(filepath.Join(folder, "clusters", file), declared, 0o644), os.Remove(filepath.Join(folder, "bundles/check-b/wrong.yaml")))
	})
	if err == nil {
		err = w.settle(ctx, commit)
	}
	if err == nil {
		err = eventually(ctx, "nothing is registered for admission", func() error { return m.registered(ctx, false) })
	}
	return err
}

// someCluster is a declared cluster, and the file that declares it.
func (w *world) someCluster() (file, name string, err error) {
	paths, err := clusterFiles(w.cfg.Sandbox.Clone())
	if err != nil {
		return "", "", err
	}
	cluster, err := readCluster(paths[0])
	return filepath.Base(paths[0]), cluster.Name, err
}

// enforce switches admission and audit on for a cluster, and returns what its file was before.
func (w *world) enforce(ctx context.Context, file string) (commit string, before []byte, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return "", nil, err
	}
	commit, _, err = w.commit(ctx, "Policies in the cluster", func(folder string) error {
		path := filepath.Join(folder, "clusters", file)
		if before, err = os.ReadFile(path); err != nil {
			return err
		}
		// Nothing leads from an API server here to a Service: its pods are processes of this machine.
		values := fmt.Sprintf("\nspec:\n  agentValues: {policy: {admission: {enabled: true, port: %d, url: 'https://127.0.0.1:%d'}, audit: {enabled: true}}}\n", port, port)
		return os.WriteFile(path, []byte(strings.Replace(string(before), "\nspec:\n", values, 1)), 0o644)
	})
	return commit, before, err
}

func forbidden(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{"forbidden": "yes"}}
}

// registered says whether the webhook is there for ConfigMaps, as wanted.
func (m *member) registered(ctx context.Context, want bool) error {
	var config admissionregistrationv1.ValidatingWebhookConfiguration
	err := m.client.Get(ctx, client.ObjectKey{Name: registration}, &config)
	if !want {
		if err == nil {
			return errors.New("it still is")
		}
		return client.IgnoreNotFound(err)
	}
	if err != nil {
		return err
	}
	for _, hook := range config.Webhooks {
		for _, rule := range hook.Rules {
			if slices.Contains(rule.Resources, "configmaps") {
				return nil
			}
		}
	}
	return errors.New("it is not registered for ConfigMaps")
}

// refused tries the wrong object by hand, and returns what the API server said.
func (m *member) refused(ctx context.Context) (string, error) {
	said := ""
	err := eventually(ctx, "the API server refuses what the policy denies", func() error {
		err := m.client.Create(ctx, forbidden("wrong"), client.DryRunAll)
		if err == nil {
			return errors.New("it takes it")
		}
		if !apierrors.IsForbidden(err) {
			return err
		}
		said = err.Error()
		return nil
	})
	return said, err
}

// sameWords holds what admission said against what is said at commit and at the gate.
func (w *world) sameWords(ctx context.Context, cluster, atAdmission string) error {
	want := denial.FindString(atAdmission)
	if want == "" {
		return fmt.Errorf("admission does not say which policy denies what: %s", atAdmission)
	}
	if _, _, err := w.commit(ctx, "Something wrong", func(folder string) error {
		return write(folder, "bundles/check-b/wrong.yaml", configMap("wrong", map[string]string{"forbidden": "yes"}))
	}); err != nil {
		return err
	}
	// It fails, as it should.
	atCommit, _ := w.periplus(ctx, "check", w.cfg.Sandbox.Clone())
	if !strings.Contains(atCommit, "the key forbidden is not allowed") || !strings.Contains(atCommit, "bundles/check-b/wrong.yaml") {
		return fmt.Errorf("periplus check does not find it: %s", atCommit)
	}
	return eventually(ctx, "the gate says the same", func() error {
		out, err := w.periplus(ctx, "why", "check-b", "-c", cluster)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("periplus why does not say %q but:\n%s", want, out)
		}
		return err
	})
}
