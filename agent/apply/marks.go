package apply

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// toolMarks are the names of labels and annotations by which delivery tools know what they manage. Those that many charts
// set whoever applies them, such as app.kubernetes.io/instance, say nothing.
var toolMarks = []string{"meta.helm.sh/", "argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "objectset.rio.cattle.io/",
	"kubectl.kubernetes.io/last-applied-configuration", "app.kubernetes.io/managed-by", "fleet.periplus.dev/"}

// isToolMark says whether a label or annotation is a tool's own.
func isToolMark(name string) bool {
	for _, mark := range toolMarks {
		if name == mark || strings.HasSuffix(mark, "/") && strings.HasPrefix(name, mark) {
			return true
		}
	}
	return false
}

// Keeper is who keeps an object as it is, in a person's words: a controller that owns it, or another delivery tool. "" where
// nobody does.
func Keeper(live *unstructured.Unstructured) string {
	if owner := metav1.GetControllerOf(live); owner != nil {
		return fmt.Sprintf("its controller, %s %q", owner.Kind, owner.Name)
	}
	labels, annotations := live.GetLabels(), live.GetAnnotations()
	switch {
	case labels["helm.toolkit.fluxcd.io/name"] != "":
		return fmt.Sprintf("Flux HelmRelease %q", join(labels["helm.toolkit.fluxcd.io/namespace"], labels["helm.toolkit.fluxcd.io/name"]))
	case annotations["meta.helm.sh/release-name"] != "":
		return fmt.Sprintf("Helm release %q", join(annotations["meta.helm.sh/release-namespace"], annotations["meta.helm.sh/release-name"]))
	case labels["kustomize.toolkit.fluxcd.io/name"] != "":
		return fmt.Sprintf("Flux Kustomization %q", join(labels["kustomize.toolkit.fluxcd.io/namespace"], labels["kustomize.toolkit.fluxcd.io/name"]))
	case annotations["argocd.argoproj.io/tracking-id"] != "":
		application, _, _ := strings.Cut(annotations["argocd.argoproj.io/tracking-id"], ":")
		return fmt.Sprintf("Argo CD application %q", application)
	case labels["argocd.argoproj.io/instance"] != "":
		return fmt.Sprintf("Argo CD application %q", labels["argocd.argoproj.io/instance"])
	case annotations["objectset.rio.cattle.io/id"] != "":
		return fmt.Sprintf("Fleet bundle %q", annotations["objectset.rio.cattle.io/id"])
	case labels["objectset.rio.cattle.io/hash"] != "":
		return "a Fleet bundle"
	default:
		return ""
	}
}

func join(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}
