// Package content defines what travels between hub and agent as immutable content, and how it is named: object
// identities, revisions, digests, and the hashes that let both sides compare whole sets in one message.
package content

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Digest names content: "sha256:<64 hex>" for plain content, "hmac-sha256:<64 hex>" for content of a Secret, which a plain
// hash would let others guess.
type Digest string

const (
	plainPrefix  = "sha256:"
	secretPrefix = "hmac-sha256:"
)

// Sum is the digest of plain content.
func Sum(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest(plainPrefix + hex.EncodeToString(sum[:]))
}

// SumSecret is the digest of a Secret's content under the fleet's key.
func SumSecret(key, data []byte) Digest {
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return Digest(secretPrefix + hex.EncodeToString(mac.Sum(nil)))
}

// Secret says whether the digest names content that is encrypted in the store and masked everywhere.
func (d Digest) Secret() bool { return strings.HasPrefix(string(d), secretPrefix) }

// Validate says what is wrong with a digest that came from outside.
func (d Digest) Validate() error {
	text, ok := strings.CutPrefix(string(d), plainPrefix)
	if !ok {
		text, ok = strings.CutPrefix(string(d), secretPrefix)
	}
	if raw, err := hex.DecodeString(text); !ok || err != nil || len(raw) != sha256.Size || strings.ToLower(text) != text {
		return fmt.Errorf("invalid digest %.100q", string(d))
	}
	return nil
}

// ObjectID identifies an object across API versions. Namespace is empty for cluster-scoped objects, and for namespaced
// ones that leave it to the revision's default namespace.
type ObjectID struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "Kind.group namespace/name", with what is empty left out.
func (id ObjectID) String() string {
	kind := id.Kind
	if id.Group != "" {
		kind += "." + id.Group
	}
	if id.Namespace == "" {
		return kind + " " + id.Name
	}
	return kind + " " + id.Namespace + "/" + id.Name
}

// Compare orders identities by group, kind, namespace, name.
func (id ObjectID) Compare(other ObjectID) int {
	return cmp.Or(strings.Compare(id.Group, other.Group), strings.Compare(id.Kind, other.Kind),
		strings.Compare(id.Namespace, other.Namespace), strings.Compare(id.Name, other.Name))
}

// Item is one object of a revision.
type Item struct {
	ObjectID
	// Phase orders the apply: lower ones first, and each is established before the next. See PhaseOf.
	Phase int `json:"phase"`
	// Digest of the object's content: canonical JSON.
	Digest Digest `json:"digest"`
	// Source is where the object was declared, "file:line" relative to the fleet repo; "" where unknown.
	Source string `json:"source,omitempty"`
	// Hook is set where the agent runs the object at a moment of the bundle's life instead of keeping it applied. Needs
	// CapabilityHooks.
	Hook *Hook `json:"hook,omitempty"`
	// Sealed says that the content is a SealedObject, which only the cluster can open. Needs CapabilitySealed.
	Sealed bool `json:"sealed,omitempty"`
	// Once are JSON pointers, sorted, of fields that are applied when the object is created and never overwritten. Needs
	// CapabilityOnce.
	Once []string `json:"once,omitempty"`
	// Options of the object. Need CapabilityOptions.
	Options *Options `json:"options,omitempty"`
}

// Manifest is an immutable revision: the ordered list of objects that a variant rendered to.
type Manifest struct {
	// DefaultNamespace for namespaced objects that name none; the agent applies it, as only it knows each kind's scope.
	DefaultNamespace string `json:"defaultNamespace,omitempty"`
	Items            []Item `json:"items"`
}

// Sort puts the items into their one order: phase, then identity.
func (m *Manifest) Sort() {
	slices.SortFunc(m.Items, compareItems)
}

func compareItems(a, b Item) int {
	return cmp.Or(cmp.Compare(a.Phase, b.Phase), a.ObjectID.Compare(b.ObjectID))
}

// Encode is the manifest's canonical form, whose Sum names the revision. Items must be sorted.
// Sources are left out: a moved line is no new revision.
func (m Manifest) Encode() ([]byte, error) {
	bare := Manifest{DefaultNamespace: m.DefaultNamespace, Items: slices.Clone(m.Items)}
	for i := range bare.Items {
		bare.Items[i].Source = ""
	}
	data, err := json.Marshal(bare)
	if err != nil {
		return nil, fmt.Errorf("cannot encode manifest: %w", err)
	}
	return data, nil
}

// Digest names the revision.
func (m Manifest) Digest() (Digest, error) {
	data, err := m.Encode()
	if err != nil {
		return "", err
	}
	return Sum(data), nil
}

// DecodeManifest reads what Encode wrote, and refuses unknown fields, bad digests, duplicates and a wrong order.
func DecodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("cannot decode manifest: %w", err)
	}
	if decoder.More() {
		return Manifest{}, errors.New("cannot decode manifest: something follows after its end")
	}
	seen := make(map[ObjectID]bool, len(m.Items))
	for i, item := range m.Items {
		if err := item.Digest.Validate(); err != nil {
			return Manifest{}, fmt.Errorf("cannot decode manifest: item %d: %w", i, err)
		}
		if item.Kind == "" || item.Name == "" {
			return Manifest{}, fmt.Errorf("cannot decode manifest: item %d: kind and name are required", i)
		}
		if seen[item.ObjectID] {
			return Manifest{}, fmt.Errorf("cannot decode manifest: %s stands twice", item.ObjectID)
		}
		seen[item.ObjectID] = true
		if i > 0 && compareItems(m.Items[i-1], item) > 0 {
			return Manifest{}, fmt.Errorf("cannot decode manifest: %s is out of order", item.ObjectID)
		}
	}
	return m, nil
}

// CanonicalJSON re-encodes a decoded JSON or YAML value with sorted keys and without insignificant space: the form whose
// digest names an object.
func CanonicalJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("cannot encode object: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Apply phases, in order. Removal goes through them backwards.
const (
	PhaseNamespaces = 0
	PhaseCRDs       = 1
	PhaseClasses    = 2 // cluster-scoped things that others refer to: StorageClass, PriorityClass, ...
	PhaseAccess     = 3 // ServiceAccounts, RBAC, quotas
	PhaseConfig     = 4 // ConfigMaps, Secrets, claims, Services
	PhaseWorkloads  = 5
	PhaseCustom     = 6 // custom resources and everything else
	PhaseWebhooks   = 7
)

// PhaseOf is the apply phase of a kind.
func PhaseOf(group, kind string) int {
	switch group {
	case "":
		switch kind {
		case "Namespace":
			return PhaseNamespaces
		case "PersistentVolume":
			return PhaseClasses
		case "ServiceAccount", "ResourceQuota", "LimitRange":
			return PhaseAccess
		case "Pod", "ReplicationController":
			return PhaseWorkloads
		default:
			return PhaseConfig
		}
	case "apiextensions.k8s.io":
		return PhaseCRDs
	case "storage.k8s.io", "scheduling.k8s.io", "node.k8s.io":
		return PhaseClasses
	case "networking.k8s.io":
		if kind == "IngressClass" {
			return PhaseClasses
		}
		return PhaseConfig
	case "rbac.authorization.k8s.io":
		return PhaseAccess
	case "apps", "batch":
		return PhaseWorkloads
	case "policy", "autoscaling":
		return PhaseWorkloads
	case "admissionregistration.k8s.io", "apiregistration.k8s.io":
		return PhaseWebhooks
	default:
		return PhaseCustom
	}
}
