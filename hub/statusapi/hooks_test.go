package statusapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/source/webhook"
)

func TestPushWebhook(t *testing.T) {
	r := newRig(t)
	secret := []byte("shared")
	for _, object := range []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "git"}, Data: map[string][]byte{"webhook-secret": secret}},
		&v1alpha1.FleetRepo{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "signed"},
			Spec: v1alpha1.FleetRepoSpec{URL: "https://git.example.com/fleet.git", SecretRef: &corev1.LocalObjectReference{Name: "git"}}},
		&v1alpha1.FleetRepo{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "open"}, Spec: v1alpha1.FleetRepoSpec{URL: "https://git.example.com/open.git"}},
	} {
		if err := r.kube.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	push := `{"ref": "refs/heads/main", "repository": {"clone_url": "https://git.example.com/fleet.git"}}`
	cases := map[string]struct {
		reason, method, path, body string
		key                        []byte
		want                       int
		synced                     bool
	}{
		"Push":         {reason: "a push to the branch in force is read now", path: "fleet/signed", body: push, key: secret, want: http.StatusAccepted, synced: true},
		"OtherBranch":  {reason: "nothing that the fleet reads has changed", path: "fleet/signed", body: strings.Replace(push, "main", "topic", 1), key: secret, want: http.StatusNoContent},
		"WrongSecret":  {reason: "anybody can reach this address", path: "fleet/signed", body: push, key: []byte("guess"), want: http.StatusUnauthorized},
		"NoSecret":     {reason: "a repo without a secret takes no webhooks", path: "fleet/open", body: push, key: nil, want: http.StatusUnauthorized},
		"UnknownRepo":  {reason: "which names exist is not told", path: "fleet/none", body: push, key: secret, want: http.StatusUnauthorized},
		"NotJSON":      {reason: "a signed body that cannot be read is the sender's mistake", path: "fleet/signed", body: "{", key: secret, want: http.StatusBadRequest},
		"TooLarge":     {reason: "a body is read into memory", path: "fleet/signed", body: strings.Repeat(" ", webhook.MaxBody+1), key: secret, want: http.StatusRequestEntityTooLarge},
		"NotPost":      {reason: "a link preview must cause nothing", method: http.MethodGet, path: "fleet/signed", key: secret, want: http.StatusNotFound},
		"NoRepoInPath": {reason: "the path names the repo", path: "fleet", body: push, key: secret, want: http.StatusNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			key := client.ObjectKey{Namespace: "fleet", Name: "signed"}
			before := syncOf(t, r, key)
			mac := hmac.New(sha256.New, tc.key)
			mac.Write([]byte(tc.body))
			if tc.method == "" {
				tc.method = http.MethodPost
			}
			request, err := http.NewRequestWithContext(t.Context(), tc.method, r.url+"/hooks/"+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != tc.want {
				t.Errorf("%s: want %d, got %s: %s", tc.reason, tc.want, response.Status, text)
			}
			if synced := syncOf(t, r, key) != before; synced != tc.synced {
				t.Errorf("%s: asked for a reading: %t", tc.reason, synced)
			}
		})
	}
}

func syncOf(t *testing.T, r *rig, key client.ObjectKey) string {
	t.Helper()
	var repo v1alpha1.FleetRepo
	if err := r.kube.Get(t.Context(), key, &repo); err != nil {
		t.Fatal(err)
	}
	return repo.Annotations[v1alpha1.AnnotationSync]
}
