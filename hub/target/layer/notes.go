package layer

import (
	"maps"
	"slices"
	"strings"
)

// Leaf is a value with where it comes from.
type Leaf struct {
	// Path in the values, such as resources.requests.cpu; keys are joined by dots.
	Path string
	// Value is nil for a Secret's.
	Value any
	// Unset says that this layer removed the key.
	Unset bool
	// Layer that set it, and Source of it as file:line, or as the layer names it.
	Layer  string
	Source string
	Secret bool
	// Overrode is what lower layers had said, the highest first.
	Overrode []Leaf
}

// Explain gives each value that the layers make, by path, with where it was set and what it overrode. A list is one value, as
// is an empty mapping. Removed keys are there, marked Unset.
func Explain(layers []Layer) ([]Leaf, error) {
	n := &notes{layers: layers, leaves: map[string]Leaf{}}
	if _, err := merge(layers, n); err != nil {
		return nil, err
	}
	out := make([]Leaf, 0, len(n.leaves))
	for _, path := range slices.Sorted(maps.Keys(n.leaves)) {
		if leaf := n.leaves[path]; leaf.Layer != "" {
			out = append(out, leaf)
		}
	}
	return out, nil
}

// notes are taken while layers merge; nil takes none, so that the usual case costs nothing.
type notes struct {
	layers []Layer
	leaves map[string]Leaf
}

func (n *notes) leaf(layer int, path, own string, value any) {
	if n == nil {
		return
	}
	leaf := n.at(layer, path, own)
	if leaf.Value = value; leaf.Secret {
		leaf.Value = nil
	}
	n.leaves[path] = leaf
}

func (n *notes) unset(layer int, path, own string) {
	if n == nil {
		return
	}
	leaf := n.at(layer, path, own)
	leaf.Unset = true
	n.leaves[path] = leaf
}

// clear takes away what lies at and below a path, whose values come next; those that come for the same path remember it.
func (n *notes) clear(layer int, path, _ string) {
	if n == nil {
		return
	}
	for _, below := range n.below(path) {
		gone := n.leaves[below]
		if gone.Layer == "" {
			continue
		}
		n.leaves[below] = Leaf{Path: below, Overrode: history(gone)}
	}
}

// at makes the leaf of a path, over what was there.
func (n *notes) at(layer int, path, own string) Leaf {
	from := n.layers[layer]
	leaf := Leaf{Path: path, Layer: from.Name, Source: from.Name, Secret: from.Secret}
	if from.Source != nil {
		leaf.Source = from.Source(own)
	}
	for _, below := range n.below(path) {
		leaf.Overrode = append(leaf.Overrode, history(n.leaves[below])...)
		delete(n.leaves, below)
	}
	return leaf
}

// below are the paths with notes at and below a path, and a leaf above it that a mapping replaces.
func (n *notes) below(path string) []string {
	var out []string
	for _, other := range slices.Sorted(maps.Keys(n.leaves)) {
		if other == path || strings.HasPrefix(other, path+".") {
			out = append(out, other)
		}
	}
	for above := path; ; {
		cut := strings.LastIndexByte(above, '.')
		if cut < 0 {
			return out
		}
		above = above[:cut]
		if _, ok := n.leaves[above]; ok {
			out = append(out, above)
		}
	}
}

// history is a leaf and what it overrode, as a flat list.
func history(leaf Leaf) []Leaf {
	before := leaf.Overrode
	leaf.Overrode = nil
	if leaf.Layer == "" {
		return before
	}
	return append([]Leaf{leaf}, before...)
}
