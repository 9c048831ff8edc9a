package apply

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/api/content"
)

func TestExplainAdmission(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	terminating := apierrors.NewForbidden(pods, "web", errors.New("unable to create new content in namespace shop because it is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	denied := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Message: `admission webhook "guard.example.org" denied the request: no tag`}}
	cases := map[string]struct {
		reason string
		err    error
		kind   string
		want   string
	}{
		"Webhook":       {"who refuses is named", denied, "Pod", `refused by webhook "guard.example.org": no tag`},
		"WebhookSecret": {"its words may quote the Secret", denied, "Secret", `refused by webhook "guard.example.org": its reasons are not shown, as they may hold values`},
		"WebhookAway": {"a webhook that cannot be reached is no mistake of the bundle", apierrors.NewInternalError(errors.New(`failed calling webhook "guard.example.org": failed to call webhook: Post "https://guard": context deadline exceeded`)), "Pod",
			`webhook "guard.example.org" cannot be asked, and nothing is applied without its word: failed to call webhook: Post "https://guard": context deadline exceeded`},
		"AdmissionPolicy": {"", apierrors.NewForbidden(pods, "web", errors.New("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")), "Pod",
			`refused by ValidatingAdmissionPolicy "p" (binding "b"): no`},
		"Quota": {"what is asked, used and allowed", apierrors.NewForbidden(pods, "web", errors.New("exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3")), "Pod",
			`quota "small" of namespace "shop" is used up: it asks for pods=1, pods=3 are in use, pods=3 is the limit`},
		"QuotaUntold": {"", apierrors.NewForbidden(pods, "web", errors.New("failed quota: small: must specify limits.cpu for: main")), "Pod",
			`quota "small" of namespace "shop" asks that every object says limits.cpu for: main`},
		"PodSecurity": {"", apierrors.NewForbidden(pods, "web", errors.New(`violates PodSecurity "restricted:latest": runAsNonRoot != true`)), "Pod",
			`the pod security level of namespace "shop" (restricted:latest) forbids it: runAsNonRoot != true`},
		"LimitRange": {"", apierrors.NewForbidden(pods, "web", errors.New("maximum cpu usage per Container is 1, but limit is 2")), "Pod",
			`a LimitRange of namespace "shop" forbids it: maximum cpu usage per Container is 1, but limit is 2`},
		"Terminating": {"", terminating, "Pod", `namespace "shop" is being deleted, nothing can be made in it until it is gone and made anew`},
		"NoNamespace": {"", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), "Pod",
			`namespace "shop" does not exist: declare it in the bundle, or in one that this one depends on`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Explain(c.err, "t", Request{Bundle: "fleet/a", ID: content.ObjectID{Kind: c.kind, Namespace: "shop", Name: "web"}})
			if diff := cmp.Diff(c.want, got.Error()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}
