// Package parcel turns the policies of a cluster into immutable content, as bundles are, and back: a hub packs what concerns
// the cluster, its agent unpacks and loads it. Equal policies are equal content, shared between clusters; what differs from
// cluster to cluster goes beside it.
package parcel

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// The kinds of items: each is one part of an engine.Source.
const (
	kindModule    = "PolicyModule"
	kindManifest  = "PolicyManifest"
	kindBinding   = "PolicyBinding"
	kindExemption = "PolicyExemption"
)

// item is one part with the place in the fleet repo that findings name.
type item struct {
	Source    string                    `json:"source"`
	Text      string                    `json:"text,omitempty"`
	Object    map[string]any            `json:"object,omitempty"`
	Binding   *v1alpha1.PolicyBinding   `json:"binding,omitempty"`
	Exemption *v1alpha1.PolicyExemption `json:"exemption,omitempty"`
}

// Pack makes a revision of policies.
func Pack(source engine.Source) (content.Manifest, map[content.Digest][]byte, error) {
	manifest, blobs := content.Manifest{Items: []content.Item{}}, map[content.Digest][]byte{}
	add := func(kind, name string, part item) error {
		data, err := content.CanonicalJSON(part)
		if err != nil {
			return fmt.Errorf("cannot pack %s %q: %w", kind, name, err)
		}
		digest := content.Sum(data)
		blobs[digest] = data
		manifest.Items = append(manifest.Items, content.Item{ObjectID: content.ObjectID{Group: v1alpha1.Group, Kind: kind, Name: name}, Digest: digest})
		return nil
	}
	var problems []error
	for _, file := range source.Modules {
		problems = append(problems, add(kindModule, file.Path, item{Source: file.Path, Text: file.Text}))
	}
	for i, m := range source.Gatekeeper {
		// Numbered: a template and a constraint, or two of different kinds, may share a name, and their order matters to nobody.
		problems = append(problems, add(kindManifest, fmt.Sprintf("%04d", i), item{Source: m.Source, Object: m.Object}))
	}
	for _, b := range source.Bindings {
		problems = append(problems, add(kindBinding, b.Metadata.Name, item{Source: b.Source, Binding: &b.PolicyBinding}))
	}
	for _, e := range source.Exemptions {
		problems = append(problems, add(kindExemption, e.Metadata.Name, item{Source: e.Source, Exemption: &e.PolicyExemption}))
	}
	manifest.Sort()
	return manifest, blobs, errors.Join(problems...)
}

// Unpack reads what Pack made.
func Unpack(manifest content.Manifest, blobs map[content.Digest][]byte) (engine.Source, error) {
	var out engine.Source
	for _, packed := range manifest.Items {
		var part item
		decoder := json.NewDecoder(bytes.NewReader(blobs[packed.Digest]))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&part); err != nil {
			return engine.Source{}, fmt.Errorf("cannot unpack %s: %w", packed.ObjectID, err)
		}
		switch {
		case packed.Kind == kindModule:
			out.Modules = append(out.Modules, engine.File{Path: part.Source, Text: part.Text})
		case packed.Kind == kindManifest && part.Object != nil:
			out.Gatekeeper = append(out.Gatekeeper, engine.Manifest{Object: part.Object, Source: part.Source})
		case packed.Kind == kindBinding && part.Binding != nil:
			out.Bindings = append(out.Bindings, engine.Binding{PolicyBinding: *part.Binding, Source: part.Source})
		case packed.Kind == kindExemption && part.Exemption != nil:
			out.Exemptions = append(out.Exemptions, engine.Exemption{PolicyExemption: *part.Exemption, Source: part.Source})
		default:
			return engine.Source{}, fmt.Errorf("cannot unpack %s: this agent does not know what it is: a newer one is needed", packed.ObjectID)
		}
	}
	return out, nil
}

// cluster is engine.Cluster on the wire.
type cluster struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels,omitempty"`
	Variables map[string]any    `json:"variables,omitempty"`
	Version   string            `json:"version,omitempty"`
}

// Address is what goes with a revision of policies to one cluster. With a key it is signed.
func Address(revision content.Digest, to engine.Cluster, key ed25519.PrivateKey) (*linkv1.Policies, error) {
	data, err := content.CanonicalJSON(cluster(to))
	if err != nil {
		return nil, fmt.Errorf("cannot encode the fields of cluster %q: %w", to.Name, err)
	}
	out := &linkv1.Policies{Cluster: data}
	if key != nil {
		out.Signature = ed25519.Sign(key, signed(revision, data))
	}
	return out, nil
}

// ErrSignature says that policies were not signed with the key that the agent knows.
var ErrSignature = errors.New("the policies are not signed with the key that this agent was given: look at the hub's --policy-signing-key and the agent's --policy-key")

// Open reads and, with a key, verifies what goes with a revision of policies.
func Open(revision content.Digest, policies *linkv1.Policies, key ed25519.PublicKey) (engine.Cluster, error) {
	if key != nil && !ed25519.Verify(key, signed(revision, policies.GetCluster()), policies.GetSignature()) {
		return engine.Cluster{}, ErrSignature
	}
	var to cluster
	if err := json.Unmarshal(policies.GetCluster(), &to); err != nil {
		return engine.Cluster{}, fmt.Errorf("cannot read the fields of the cluster that policies came with: %w", err)
	}
	return engine.Cluster(to), nil
}

func signed(revision content.Digest, cluster []byte) []byte {
	return fmt.Appendf(nil, "periplus policies v1\n%s\n%s", revision, cluster)
}
