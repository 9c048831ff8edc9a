package statusapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/source/webhook"
)

// Hooks takes push webhooks at /hooks/<namespace>/<repo>. They prove themselves by the repo's webhook-secret and only make the
// next read prompt.
type Hooks struct {
	Client client.Client
}

func (h Hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	namespace, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/hooks/"), "/")
	if !ok || r.Method != http.MethodPost {
		http.Error(w, "post to /hooks/<namespace>/<repo>", http.StatusNotFound)
		return
	}
	var repo v1alpha1.FleetRepo
	var secret corev1.Secret
	err := h.Client.Get(r.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &repo)
	if err == nil && repo.Spec.SecretRef != nil {
		err = h.Client.Get(r.Context(), client.ObjectKey{Namespace: namespace, Name: repo.Spec.SecretRef.Name}, &secret)
	}
	if err != nil {
		// A repo that does not exist answers like one without a secret: names are not to be found out here.
		http.Error(w, webhook.ErrUnproven.Error(), http.StatusUnauthorized)
		return
	}
	concerns, err := webhook.Parse(r, webhook.Repo{URL: repo.Spec.URL, Ref: repo.Spec.Ref, Secret: secret.Data["webhook-secret"]})
	switch {
	case errors.Is(err, webhook.ErrUnproven):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, webhook.ErrTooLarge):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case !concerns:
		w.WriteHeader(http.StatusNoContent)
	default:
		patch := client.MergeFrom(repo.DeepCopy())
		metav1.SetMetaDataAnnotation(&repo.ObjectMeta, v1alpha1.AnnotationSync, time.Now().UTC().Format(time.RFC3339Nano))
		if err := h.Client.Patch(r.Context(), &repo, patch); err != nil {
			http.Error(w, "the hub cannot take the webhook now", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}
