package fleet

import (
	"errors"
	"io/fs"
	"path"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// LayoutFile may name other roots.
const LayoutFile = "periplus.yaml"

// LayoutKind is the kind of the document in LayoutFile.
const LayoutKind = "FleetLayout"

// Layout says where a fleet repo keeps its files.
type Layout struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        v1alpha1.FileMeta `json:"metadata"`
	Spec            LayoutSpec        `json:"spec"`
}

// LayoutSpec names folders, relative to the fleet repo's root. Defaults: clusters, bundles, policies.
type LayoutSpec struct {
	Clusters []string `json:"clusters,omitempty"`
	Bundles  []string `json:"bundles,omitempty"`
	Policies []string `json:"policies,omitempty"`
}

// readLayout returns the roots as paths of the tree. A layout that cannot be read refuses the commit whole: without it,
// everything would look gone.
func (r *reading) readLayout() (LayoutSpec, error) {
	spec := LayoutSpec{}
	file := path.Join(r.root, LayoutFile)
	data, err := r.in.Tree.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return spec, &RefusedError{refusal(file, 0, "", "%v", err)}
	default:
		if spec, err = parseLayout(file, data, r.in.Namespace); err != nil {
			return spec, err
		}
	}
	for _, roots := range []struct {
		list     *[]string
		fallback string
	}{{&spec.Clusters, "clusters"}, {&spec.Bundles, "bundles"}, {&spec.Policies, "policies"}} {
		declared := *roots.list != nil
		if !declared {
			*roots.list = []string{roots.fallback}
		}
		for i, folder := range *roots.list {
			full := path.Join(r.root, folder)
			if declared {
				if info, err := r.in.Tree.Stat(full); err != nil || !info.IsDir() {
					return spec, &RefusedError{refusal(file, 0, "spec", "folder %q is not there", folder)}
				}
			}
			(*roots.list)[i] = full
		}
	}
	return spec, nil
}

func parseLayout(file string, data []byte, namespace string) (LayoutSpec, error) {
	documents, refused := parseFile(file, data, namespace)
	layout := Layout{}
	for i, d := range documents {
		if d.apiVersion != v1alpha1.GroupVersion.String() || d.kind != LayoutKind || i > 0 {
			d.refuse("kind", "the file holds one %s of %s", LayoutKind, v1alpha1.GroupVersion)
		} else if d.decode(&layout) {
			for field, folders := range map[string][]string{"clusters": layout.Spec.Clusters, "bundles": layout.Spec.Bundles, "policies": layout.Spec.Policies} {
				for _, folder := range folders {
					if !fs.ValidPath(folder) {
						d.refuse("spec."+field, "%q is no path inside the repository", folder)
					}
				}
			}
		}
		refused = append(refused, d.refused...)
	}
	if len(refused) > 0 {
		return LayoutSpec{}, &RefusedError{sortRefusals(refused)[0]}
	}
	return layout.Spec, nil
}
