package join_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/api/content"
)

// Plaintexts: of a file that SOPS encrypted, and of a Secret of the hub's API.
const (
	fromSOPS   = "hunter2"
	fromSecret = "planted-in-a-secret-4711"
)

// TestSecretValuesStaySecret renders values that a running hub opens or reads from a Secret: what comes of them is secret in the
// store and in every answer, and the plaintext is nowhere but in the objects themselves.
func TestSecretValuesStaySecret(t *testing.T) {
	w := newWorld(t)
	// Short: the plugins' sockets are in there.
	temporary, err := os.MkdirTemp("/tmp", "p")
	w.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	t.Setenv("TMPDIR", temporary)
	keys := w.file("keys")
	w.must(os.MkdirAll(keys, 0o700))
	sealed := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(w.root, "api/sops/testdata", name))
		w.must(err)
		return data
	}
	w.must(os.WriteFile(filepath.Join(keys, "hub.agekey"), sealed("right.agekey"), 0o600))
	w.must(os.WriteFile(w.file("plugins.yaml"), []byte("plugins:\n- name: sops\n  config: {keysDir: "+keys+"}\n"), 0o600))
	_, err = kubernetes.NewForConfigOrDie(w.hub.Config).CoreV1().Secrets("fleet").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "db"}, StringData: map[string]string{"token": fromSecret}}, metav1.CreateOptions{})
	w.must(err)

	const head = "apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\n"
	w.write("bundles/opened/bundle.yaml", head+"metadata: {name: opened}\nspec: {decrypt: hub, namespace: web, source: {helm: {chart: chart, valuesFiles: [values.sops.yaml]}}, targets: [{clusterSelector: {}}]}\n")
	w.write("bundles/opened/values.sops.yaml", string(sealed("suffix.yaml")))
	w.write("bundles/valued/bundle.yaml", head+"metadata: {name: valued}\nspec: {namespace: web, source: {helm: {chart: chart}}, valuesFrom: [{secret: {name: db, key: token}, at: /password_secret}], targets: [{clusterSelector: {}}]}\n")
	for bundle, plain := range map[string]string{"opened": fromSOPS, "valued": fromSecret} {
		w.write("bundles/"+bundle+"/chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
		// The chart fails without the plaintext, which it does not hold itself.
		w.write("bundles/"+bundle+"/chart/templates/c.yaml", fmt.Sprintf("{{ if ne (sha256sum .Values.password_secret) \"%x\" }}{{ fail \"not opened\" }}{{ end }}\n", sha256.Sum256([]byte(plain)))+
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+bundle+"}\ndata: {password: {{ .Values.password_secret }}}\n")
	}
	// A chart that quotes its values when it fails, and a policy that quotes what it sees.
	w.write("bundles/broken/bundle.yaml", head+"metadata: {name: broken}\nspec: {decrypt: hub, namespace: web, source: {helm: {chart: chart, valuesFiles: [values.sops.yaml]}}, targets: [{clusterSelector: {}}]}\n")
	w.write("bundles/broken/values.sops.yaml", string(sealed("suffix.yaml")))
	w.write("bundles/broken/chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
	w.write("bundles/broken/chart/templates/c.yaml", "{{ fail .Values.password_secret }}\n")
	w.write("policies/quotes.rego", "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\n#   action: warn\npackage quotes\n\ndeny contains sprintf(\"%v\", [input.object])\n")
	w.commit("secrets")
	w.process("hub", w.hubKubeconfig(), "--store", "sqlite://"+w.file("store.db"), "--plugins-config", w.file("plugins.yaml"))
	w.follow()

	var said bytes.Buffer
	w.eventually("all bundles are planned", func() error { return w.planned(&said) })
	for _, bundle := range []string{"opened", "valued"} {
		text, err := w.periplus("get", "objects", "-c", "edge", "-b", bundle, "-o", "json")
		w.must(err)
		said.WriteString(text)
		var list struct {
			Items []struct{ Name, Digest string }
		}
		w.must(json.Unmarshal([]byte(text), &list))
		if len(list.Items) != 1 || !content.Digest(list.Items[0].Digest).Secret() {
			t.Errorf("bundle %s has objects that are no secret: %+v", bundle, list.Items)
		}
	}
	for _, args := range [][]string{{"get", "bundles"}, {"get", "policyresults"}, {"history"}, {"describe", "bundle", "opened"}, {"describe", "bundle", "broken"},
		{"describe", "repo", "fleet"}, {"get", "audit"}} {
		text, err := w.periplus(append(args, "-o", "json")...)
		w.must(err)
		said.WriteString(text)
	}
	if !bytes.Contains(said.Bytes(), []byte("quotes")) {
		t.Error("the policy found nothing: the test proves little")
	}
	w.holdsNone("answers of the API", said.Bytes())
	for _, place := range []string{w.file("hub"), w.file("logs"), w.file("fleet"), temporary} {
		w.holdsNoneBelow(place)
	}
	stores, err := filepath.Glob(w.file("store.db*"))
	w.must(err)
	for _, file := range stores {
		data, err := os.ReadFile(file)
		w.must(err)
		w.holdsNone(filepath.Base(file), data)
	}
}

// planned says whether each bundle came to what it must; it adds what the API answered.
func (w *world) planned(said *bytes.Buffer) error {
	text, err := w.periplus("get", "deliveries", "-o", "json")
	if err != nil {
		return err
	}
	said.WriteString(text)
	var list struct {
		Items []struct{ Bundle, Reason, Message, AssignedRevision string }
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	done := map[string]bool{}
	for _, item := range list.Items {
		done[item.Bundle] = item.AssignedRevision != "" && item.Reason == ""
		if item.Bundle == "fleet/broken" {
			done[item.Bundle] = item.Reason == "RenderFailed" && strings.Contains(item.Message, "bundles/broken/")
		}
	}
	for _, bundle := range []string{"fleet/opened", "fleet/valued", "fleet/broken"} {
		if !done[bundle] {
			return fmt.Errorf("%s is not: %s", bundle, text)
		}
	}
	return nil
}

// holdsNone looks for the plaintexts, as they are and in the base64 of JSON.
func (w *world) holdsNone(where string, data []byte) {
	w.t.Helper()
	for _, plain := range []string{fromSOPS, fromSecret} {
		for _, form := range []string{plain, base64.StdEncoding.EncodeToString([]byte(plain))} {
			if at := bytes.Index(data, []byte(form)); at >= 0 {
				w.t.Errorf("%s: the plaintext stands there: ...%q...", where, data[max(0, at-80):min(len(data), at+80)])
			}
		}
	}
}

func (w *world) holdsNoneBelow(folder string) {
	w.t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		w.holdsNone(path, data)
		return err
	})
	w.must(err)
}
