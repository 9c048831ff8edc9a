// Package sops opens documents that the sops command encrypted for age and OpenPGP keys. The agent opens sealed manifests
// with it, with keys that only its cluster holds; the hub's decrypter opens values and generator inputs. It links no cloud
// SDK: a document whose data key lies only with a cloud's key service is refused by the key's name.
//
// What a document says of itself is believed only after its message authentication code (MAC) was checked over all values
// in the order of the document, so that nobody without the data key can swap, drop or add a value.
package sops

import (
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
)

// Format of a document.
type Format string

// The formats. Binary is a JSON document with the single key data, which holds the whole of another file.
const (
	YAML   Format = "yaml"
	JSON   Format = "json"
	Dotenv Format = "dotenv"
	Binary Format = "binary"
)

// Errors that callers tell apart. None of them, nor their text, holds anything of the plaintext.
var (
	// ErrNotEncrypted says that the document has no sops metadata.
	ErrNotEncrypted = errors.New("it is not encrypted with sops: it has no sops metadata")
	// ErrNoKey says that none of the keys opens the document.
	ErrNoKey = errors.New("no key opens it")
	// ErrTampered says that the document is not as its author left it.
	ErrTampered = errors.New("it was changed after it was encrypted, or damaged")
	// ErrUnsupported says that the document needs what this package leaves out.
	ErrUnsupported = errors.New("is not supported")
)

// Open decrypts a YAML or JSON document and returns its content as JSON values: map[string]any, []any, string, int64,
// float64, bool and nil. Comments and the sops metadata are left out.
func Open(document []byte, format Format, keys *Keys) (map[string]any, error) {
	tree, err := open(document, format, keys)
	if err != nil {
		return nil, err
	}
	return tree.object(), nil
}

// Plain decrypts a document and returns it in its own format, without the sops metadata; of a binary document it is the
// file that it holds.
func Plain(document []byte, format Format, keys *Keys) ([]byte, error) {
	tree, err := open(document, format, keys)
	if err != nil {
		return nil, err
	}
	return emit(tree, format)
}

// Encrypted says whether a document has sops metadata, without opening it. What cannot be read is not encrypted.
func Encrypted(document []byte, format Format) bool {
	tree, err := parse(document, format)
	if err != nil {
		return false
	}
	_, _, err = split(tree, format)
	return !errors.Is(err, ErrNotEncrypted)
}

func open(document []byte, format Format, keys *Keys) (mapping, error) {
	tree, err := parse(document, format)
	if err != nil {
		return nil, err
	}
	tree, meta, err := split(tree, format)
	if err != nil {
		return nil, err
	}
	rules, err := meta.rules()
	if err != nil {
		return nil, err
	}
	dataKey, err := keys.dataKey(meta)
	if err != nil {
		return nil, err
	}
	cipher, err := newCipher(dataKey)
	if err != nil {
		return nil, err
	}
	walk := walker{cipher: cipher, rules: rules, mac: sha512.New()}
	if rules.macOnlyEncrypted {
		walk.mac.Write(macOnlyEncryptedStart)
	}
	if tree, err = walk.mapping(tree, nil, nil); err != nil {
		return nil, err
	}
	if err := checkMAC(cipher, meta, walk.mac.Sum(nil)); err != nil {
		return nil, err
	}
	return tree, nil
}

// macOnlyEncryptedStart sets a MAC over encrypted values alone apart from one over all values: the hash of "sops", as the
// sops command has it.
var macOnlyEncryptedStart, _ = hex.DecodeString("8a3fd2ad54ce66527b1034f3d147be0b0b975b3bf44f72c6fdadec8176f27d69")

func checkMAC(cipher *valueCipher, meta metadata, sum []byte) error {
	date, err := meta.date()
	if err != nil {
		return err
	}
	if meta.MAC == "" {
		return fmt.Errorf("%w: sops.mac is missing", ErrTampered)
	}
	stored, err := cipher.open(meta.MAC, date)
	if err != nil {
		return fmt.Errorf("sops.mac: %w", err)
	}
	text, ok := stored.(string)
	want, err := hex.DecodeString(text)
	if !ok || err != nil || subtle.ConstantTimeCompare(want, sum) != 1 {
		return fmt.Errorf("%w: its values do not match sops.mac", ErrTampered)
	}
	return nil
}
