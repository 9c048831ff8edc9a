package offline

import (
	"encoding/base64"
	"fmt"
	"os"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// Objects stand for the ConfigMaps and Secrets of the tenant's namespace in the hub's API, by kind and name.
type Objects map[string]map[string][]byte

// ReadObjects reads a file of ConfigMaps and Secrets, such as "kubectl get configmaps,secrets -o yaml" gives.
func ReadObjects(file string) (Objects, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the hub's objects: %w", err)
	}
	documents, err := yamldoc.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	objects := Objects{}
	for _, document := range documents {
		object, _ := document.Object()
		items := []any{object}
		if listed, ok := object["items"].([]any); ok {
			items = listed
		}
		for _, item := range items {
			if err := objects.add(item); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, document.Line, err)
			}
		}
	}
	return objects, nil
}

func (o Objects) add(item any) error {
	object, _ := item.(map[string]any)
	metadata, _ := object["metadata"].(map[string]any)
	kind, _ := object["kind"].(string)
	name, _ := metadata["name"].(string)
	if name == "" || kind != "ConfigMap" && kind != "Secret" {
		return fmt.Errorf("%q %q: want ConfigMaps and Secrets with names", kind, name)
	}
	data := map[string][]byte{}
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for key, value := range values {
			text := fmt.Sprint(value)
			if data[key] = []byte(text); kind == "Secret" && field == "data" {
				decoded, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					return fmt.Errorf("data of Secret %q: %s is not in base64", name, key)
				}
				data[key] = decoded
			}
		}
	}
	o[kind+"/"+name] = data
	return nil
}

// Values of a reference.
func (o Objects) Values(_ string, reference v1alpha1.ValuesReference) (text string, found bool, err error) {
	kind, key := "ConfigMap", reference.ConfigMap
	if reference.Secret != nil {
		kind, key = "Secret", reference.Secret
	}
	name := key.Key
	if name == "" {
		name = target.DefaultValuesKey
	}
	data, found := o[kind+"/"+key.Name][name]
	return string(data), found, nil
}
