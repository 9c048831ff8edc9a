package sops

import (
	"fmt"
	"hash"
	"slices"
	"strings"
)

// walker decrypts a tree, and hashes its values in the order of the document.
type walker struct {
	cipher *valueCipher
	rules  rules
	mac    hash.Hash
}

// mapping decrypts a mapping. Notes are the comments that each enclosing level has read since its last value: a rule by
// comment holds for what follows the comment, and for everything below that.
func (w *walker) mapping(in mapping, path []string, notes [][]string) (mapping, error) {
	notes = append(slices.Clip(notes), nil)
	here := len(notes) - 1
	var out mapping
	for _, p := range in {
		if p.note != nil {
			// A comment is never part of the MAC, and is dropped: only what it says of values counts.
			notes[here] = append(notes[here], string(*p.note))
			continue
		}
		value, err := w.value(p.value, append(slices.Clip(path), p.key), notes)
		if err != nil {
			return nil, err
		}
		if _, isComment := value.(comment); !isComment {
			out = append(out, pair{key: p.key, value: value})
		}
		notes[here] = nil
	}
	return out, nil
}

func (w *walker) list(in []any, path []string, notes [][]string) ([]any, error) {
	notes = append(slices.Clip(notes), nil)
	here := len(notes) - 1
	out := make([]any, 0, len(in))
	for _, item := range in {
		if note, ok := item.(comment); ok {
			notes[here] = append(notes[here], string(note))
			continue
		}
		value, err := w.value(item, path, notes)
		if err != nil {
			return nil, err
		}
		// sops writes an encrypted comment of a list as an item.
		if _, isComment := value.(comment); !isComment {
			out = append(out, value)
		}
		notes[here] = nil
	}
	return out, nil
}

func (w *walker) value(in any, path []string, notes [][]string) (any, error) {
	switch in := in.(type) {
	case nil:
		return nil, nil
	case mapping:
		return w.mapping(in, path, notes)
	case []any:
		return w.list(in, path, notes)
	}
	encrypted := w.rules.encrypted(path, notes)
	value := in
	if encrypted {
		text, ok := in.(string)
		if !ok {
			return nil, at(path, fmt.Errorf("%w: the value is not encrypted", ErrTampered))
		}
		var err error
		if value, err = w.cipher.open(text, strings.Join(path, ":")+":"); err != nil {
			return nil, at(path, err)
		}
	}
	if _, isComment := value.(comment); isComment || w.rules.macOnlyEncrypted && !encrypted {
		return value, nil
	}
	data, err := authenticated(value)
	if err != nil {
		return nil, at(path, err)
	}
	w.mac.Write(data)
	return value, nil
}

// at names the place of an error: keys are in clear.
func at(path []string, err error) error {
	return fmt.Errorf("%s: %w", strings.Join(path, "."), err)
}
