package sops

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metadata is what sops wrote beside a document's own content.
type metadata struct {
	keyGroup
	KeyGroups               []keyGroup `json:"key_groups"`
	ShamirThreshold         int        `json:"shamir_threshold"`
	LastModified            string     `json:"lastmodified"`
	MAC                     string     `json:"mac"`
	UnencryptedSuffix       string     `json:"unencrypted_suffix"`
	EncryptedSuffix         string     `json:"encrypted_suffix"`
	UnencryptedRegex        string     `json:"unencrypted_regex"`
	EncryptedRegex          string     `json:"encrypted_regex"`
	UnencryptedCommentRegex string     `json:"unencrypted_comment_regex"`
	EncryptedCommentRegex   string     `json:"encrypted_comment_regex"`
	MACOnlyEncrypted        bool       `json:"mac_only_encrypted"`
}

// keyGroup are the keys that each hold the same data key (or part of it, where there are several groups).
type keyGroup struct {
	Age    []ageKey         `json:"age"`
	PGP    []pgpKey         `json:"pgp"`
	KMS    []map[string]any `json:"kms"`
	GCP    []map[string]any `json:"gcp_kms"`
	Azure  []map[string]any `json:"azure_kv"`
	Vault  []map[string]any `json:"hc_vault"`
	Huawei []map[string]any `json:"hckms"`
}

type ageKey struct {
	Recipient string `json:"recipient"`
	Enc       string `json:"enc"`
}

type pgpKey struct {
	Fingerprint string `json:"fp"`
	Enc         string `json:"enc"`
}

// services are the key services that hold the data key too, by the names that sops has for them.
func (g keyGroup) services() []string {
	var names []string
	for name, keys := range map[string][]map[string]any{"kms": g.KMS, "gcp_kms": g.GCP, "azure_kv": g.Azure, "hc_vault": g.Vault, "hckms": g.Huawei} {
		if len(keys) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// date is the time of the last change in the form that the MAC was encrypted with.
func (m metadata) date() (string, error) {
	modified, err := time.Parse(time.RFC3339, m.LastModified)
	if err != nil {
		return "", fmt.Errorf("sops.lastmodified: %q is no time", m.LastModified)
	}
	return modified.Format(time.RFC3339), nil
}

const metadataKey = "sops"

// split takes the metadata out of a document.
func split(tree mapping, format Format) (mapping, metadata, error) {
	var rest mapping
	var found any
	for _, p := range tree {
		switch {
		case format == Dotenv && p.note == nil && strings.HasPrefix(p.key, metadataKey+"_"):
			flat, _ := found.(mapping)
			found = append(flat, pair{key: strings.TrimPrefix(p.key, metadataKey+"_"), value: p.value})
		case format != Dotenv && p.note == nil && p.key == metadataKey:
			found = p.value
		default:
			rest = append(rest, p)
		}
	}
	var meta metadata
	written, ok := found.(mapping)
	if !ok {
		return nil, meta, ErrNotEncrypted
	}
	var value any = written.object()
	if format == Dotenv {
		value = unflatten(written)
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &meta)
	}
	if err != nil {
		return nil, meta, fmt.Errorf("cannot read the sops metadata: %w", err)
	}
	return rest, meta, nil
}

// unflatten builds the metadata of a file that has no structure of its own: age__list_0__map_enc is age[0].enc.
func unflatten(flat mapping) map[string]any {
	root := map[string]any{}
	lists := map[string]map[int]map[string]any{}
	for _, p := range flat {
		text, _ := p.value.(string)
		name, rest, inList := strings.Cut(p.key, "__list_")
		number, field, inMap := strings.Cut(rest, "__map_")
		index, err := strconv.Atoi(number)
		if !inList || !inMap || err != nil {
			root[p.key] = scalar(p.key, text)
			continue
		}
		if lists[name] == nil {
			lists[name] = map[int]map[string]any{}
		}
		if lists[name][index] == nil {
			lists[name][index] = map[string]any{}
		}
		lists[name][index][field] = text
	}
	for name, items := range lists {
		list := make([]any, 0, len(items))
		for index := range len(items) {
			list = append(list, items[index])
		}
		root[name] = list
	}
	return root
}

// scalar gives the metadata's own types back to text.
func scalar(key, text string) any {
	switch key {
	case "mac_only_encrypted":
		value, err := strconv.ParseBool(text)
		if err == nil {
			return value
		}
	case "shamir_threshold":
		value, err := strconv.Atoi(text)
		if err == nil {
			return value
		}
	}
	return text
}
