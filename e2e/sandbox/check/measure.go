package check

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/sandbox"
)

// measure reads the memory of what runs: of agents and members' API servers the largest.
func (w *world) measure() {
	w.result.HubRSSMiB = rss(w.box.Pid(sandbox.PartHub))
	members := w.cfg.Sandbox.Absolute() + "/members/"
	w.result.AgentRSSMiB = largest(commands(members, "periplus-agent"))
	w.result.APIServerRSSMiB = largest(commands(members, "kube-apiserver"))
}

func largest(pids []int) *float64 {
	var most *float64
	for _, pid := range pids {
		if mib := rss(pid); mib != nil && (most == nil || *mib > *most) {
			most = mib
		}
	}
	return most
}

// processes lists processes that belong to pid files whose path holds a part.
func processes(part string) []int {
	entries, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var pids []int
	for _, path := range entries {
		environ, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, variable := range strings.Split(string(environ), "\x00") {
			if file, ok := strings.CutPrefix(variable, "PERIPLUS_PIDFILE="); ok && strings.Contains(file, part) {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// commands lists those of them whose first two words name a command.
func commands(part, name string) []int {
	var pids []int
	for _, pid := range processes(part) {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			continue
		}
		words := strings.SplitN(string(data), "\x00", 3)
		for _, word := range words[:min(2, len(words))] {
			if filepath.Base(word) == name {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// objects counts what agents manage, over all clusters, as the members' own APIs list it.
func (w *world) objects(ctx context.Context) (int, error) {
	total := 0
	err := w.each(ctx, func(m *member) error {
		kinds, err := m.kinds()
		if err != nil {
			return err
		}
		for _, kind := range kinds {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind)
			if err := m.client.List(ctx, list, client.MatchingLabels{v1alpha1.LabelManaged: "true"}); err != nil {
				return err
			}
			for _, object := range list.Items {
				// Controllers copy labels to what they make; the annotation names the object itself.
				if strings.HasSuffix(object.Annotations[v1alpha1.AnnotationOwner], "/"+object.Name) && !controlled(object) {
					total++
				}
			}
		}
		return nil
	})
	return total, err
}

func controlled(object metav1.PartialObjectMetadata) bool {
	for _, owner := range object.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			return true
		}
	}
	return false
}

// kinds that can be listed, each in one version.
func (m *member) kinds() ([]schema.GroupVersionKind, error) {
	lists, err := m.discovery.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	var kinds []schema.GroupVersionKind
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			if strings.Contains(resource.Verbs.String(), "list") && !strings.Contains(resource.Name, "/") {
				kinds = append(kinds, version.WithKind(resource.Kind))
			}
		}
	}
	return kinds, nil
}
