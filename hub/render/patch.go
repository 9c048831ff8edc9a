package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/filters/patchjson6902"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// schemas guards the libraries' table of merge keys, which is one for the process and filled as it is used.
var schemas sync.Mutex

// applyPatch changes every object that a patch means; a strategic merge patch may also delete it ($patch: delete).
func applyPatch(objects []renderer.Object, patch v1alpha1.Patch) ([]renderer.Object, error) {
	documents, err := yamldoc.Parse([]byte(patch.Patch))
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("a patch is one document, not %d", len(documents))
	}
	merge, isMerge := documents[0].Object()
	if _, isList := documents[0].Value.([]any); !isMerge && !isList {
		return nil, errors.New("a patch is a mapping (strategic merge) or a list of operations (JSON 6902)")
	}
	match := patch.Target
	if match == nil {
		if match, err = matchOf(merge); err != nil {
			return nil, err
		}
	}
	var out []renderer.Object
	matched := false
	for _, object := range objects {
		if !matches(*match, object.Value) {
			out = append(out, object)
			continue
		}
		matched = true
		changed, err := patchObject(object.Value, merge, patch.Patch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", describe(object.Value), err)
		}
		if changed != nil {
			out = append(out, renderer.Object{Value: changed, Source: object.Source})
		}
	}
	if !matched {
		return nil, errNoMatch
	}
	return out, nil
}

// matchOf is the object that a strategic merge patch without target names itself.
func matchOf(merge map[string]any) (*v1alpha1.ObjectMatch, error) {
	if merge == nil {
		return nil, errors.New("a JSON 6902 patch needs a target")
	}
	id, problem := identify(merge)
	if problem != "" {
		return nil, errors.New("a patch without target names its object: " + problem)
	}
	return &v1alpha1.ObjectMatch{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}, nil
}

// patchObject returns the changed object, nil when the patch deletes it.
func patchObject(object, merge map[string]any, text string) (map[string]any, error) {
	before, _ := identify(object)
	filter, err := filterOf(object, merge, text)
	if err != nil {
		return nil, err
	}
	node, err := toNode(object)
	if err != nil {
		return nil, err
	}
	schemas.Lock()
	changed, err := filter.Filter([]*yaml.RNode{node})
	schemas.Unlock()
	if err != nil {
		return nil, err
	}
	if len(changed) == 0 || changed[0].IsNilOrEmpty() {
		return nil, nil
	}
	value, err := fromNode(changed[0])
	if err != nil {
		return nil, err
	}
	after, problem := identify(value)
	if problem != "" || after != before {
		return nil, errors.New("a patch cannot change what names the object")
	}
	return value, nil
}

func filterOf(object, merge map[string]any, text string) (kio.Filter, error) {
	if merge == nil {
		return patchjson6902.Filter{Patch: strings.TrimSpace(text)}, nil
	}
	// The patch takes the object's identity, so that its lists are merged by the kind's own keys.
	named := make(map[string]any, len(merge)+3)
	for key, value := range merge {
		named[key] = value
	}
	own := object["metadata"].(map[string]any)
	metadata := map[string]any{}
	if given, ok := merge["metadata"].(map[string]any); ok {
		for key, value := range given {
			metadata[key] = value
		}
	}
	metadata["name"] = own["name"]
	delete(metadata, "namespace")
	if own["namespace"] != nil {
		metadata["namespace"] = own["namespace"]
	}
	named["apiVersion"], named["kind"], named["metadata"] = object["apiVersion"], object["kind"], metadata
	node, err := toNode(named)
	return strategicMerge{node}, err
}

// strategicMerge keeps the order of lists as it is and adds new items at the end, as kubectl does.
type strategicMerge struct{ patch *yaml.RNode }

func (m strategicMerge) Filter(nodes []*yaml.RNode) ([]*yaml.RNode, error) {
	merged, err := merge2.Merge(m.patch, nodes[0], yaml.MergeOptions{ListIncreaseDirection: yaml.MergeOptionsListAppend})
	return []*yaml.RNode{merged}, err
}

func toNode(value map[string]any) (*yaml.RNode, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return yaml.ConvertJSONToYamlNode(string(data))
}

func fromNode(node *yaml.RNode) (map[string]any, error) {
	data, err := node.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yamldoc.ObjectFromJSON(data)
}
