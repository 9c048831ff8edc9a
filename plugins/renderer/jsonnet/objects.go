package jsonnet

import (
	"fmt"
	"maps"
	"slices"

	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// objectsOf reads what a file evaluated to: an object, or lists and mappings of objects of any depth. Mappings come in the
// order of their keys, and nothing (null) stands for no object, as "if" without "else" gives it.
func objectsOf(file, text string) ([]renderer.Object, error) {
	documents, err := yamldoc.Parse([]byte(text))
	if err != nil {
		return nil, renderer.Refuse(file, 0, "the output cannot be read: %v", err)
	}
	gather := gathering{file: file}
	for _, document := range documents {
		if err := gather.add(document.Value, "output"); err != nil {
			return nil, err
		}
	}
	return gather.objects, nil
}

type gathering struct {
	file    string
	objects []renderer.Object
}

func (g *gathering) add(value any, at string) error {
	switch typed := value.(type) {
	case nil:
		return nil
	case []any:
		return g.addList(typed, at)
	case map[string]any:
		if items, isList := manifests.Items(typed); isList {
			return g.addList(items, at+".items")
		}
		_, hasKind := typed["kind"].(string)
		_, hasVersion := typed["apiVersion"].(string)
		switch {
		case hasKind && hasVersion:
			g.objects = append(g.objects, renderer.Object{Value: typed, Source: g.file})
			return nil
		case hasKind || hasVersion:
			return renderer.Refuse(g.file, 0, "%s has only one of apiVersion and kind", at)
		}
		for _, key := range slices.Sorted(maps.Keys(typed)) {
			if err := g.add(typed[key], at+"."+key); err != nil {
				return err
			}
		}
		return nil
	default:
		return renderer.Refuse(g.file, 0, "%s is %s, not an object with apiVersion and kind; hide helper fields with ::", at, kindOf(value))
	}
}

func (g *gathering) addList(items []any, at string) error {
	for i, item := range items {
		if err := g.add(item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	default:
		return "a number"
	}
}
