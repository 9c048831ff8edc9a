package policy

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

const (
	// secretName holds the policies that are in force, whole: whoever evaluates them needs nothing else.
	secretName = "periplus-policies"
	recordKey  = "policies"
	// maxRecord is what fits a Secret beside its metadata.
	maxRecord = 1000 << 10
	// shownRefusals bounds what a message says of what is refused.
	shownRefusals = 3
)

// record is an entry with its content.
type record struct {
	entry    *linkv1.Entry
	manifest content.Manifest
	blobs    map[content.Digest][]byte
}

type recordJSON struct {
	Entry    []byte            `json:"entry"`
	Manifest json.RawMessage   `json:"manifest"`
	Blobs    []json.RawMessage `json:"blobs"`
}

// secret is the record as it is kept: the content in the manifest's order.
func (r *record) secret(secrets *kube.Secrets) (*corev1.Secret, error) {
	entry, err := proto.Marshal(r.entry)
	if err != nil {
		return nil, err
	}
	manifest, err := r.manifest.Encode()
	if err != nil {
		return nil, err
	}
	out := recordJSON{Entry: entry, Manifest: manifest}
	for _, item := range r.manifest.Items {
		out.Blobs = append(out.Blobs, r.blobs[item.Digest])
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	packed, err := desired.Compress(raw)
	if err != nil {
		return nil, err
	}
	if len(packed) > maxRecord {
		return nil, fmt.Errorf("the policies take %d bytes, a Secret holds %d", len(packed), maxRecord)
	}
	return &corev1.Secret{ObjectMeta: secrets.Own(secretName, "policies"), Data: map[string][]byte{recordKey: packed}}, nil
}

func readRecord(secret *corev1.Secret) (*record, error) {
	raw, err := desired.Decompress(secret.Data[recordKey])
	if err != nil {
		return nil, err
	}
	var in recordJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	out := &record{entry: &linkv1.Entry{}, blobs: map[content.Digest][]byte{}}
	if err := proto.Unmarshal(in.Entry, out.entry); err != nil {
		return nil, err
	}
	if out.manifest, err = content.DecodeManifest(in.Manifest); err != nil {
		return nil, err
	}
	if digest := content.Sum(in.Manifest); string(digest) != out.entry.GetRevision() || len(in.Blobs) != len(out.manifest.Items) {
		return nil, fmt.Errorf("it does not hold revision %s", out.entry.GetRevision())
	}
	for i, item := range out.manifest.Items {
		if content.Sum(in.Blobs[i]) != item.Digest {
			return nil, fmt.Errorf("its content of %s is not what revision %s holds", item.ObjectID, out.entry.GetRevision())
		}
		out.blobs[item.Digest] = in.Blobs[i]
	}
	return out, nil
}

// refusedError says what of the policies this agent cannot load.
type refusedError struct{ message string }

func (e refusedError) Error() string { return e.message }

// load compiles a record's policies; what did not change since previous is taken from there.
func (r *record) load(key ed25519.PublicKey, previous *engine.Snapshot) (InForce, error) {
	revision := content.Digest(r.entry.GetRevision())
	cluster, err := parcel.Open(revision, r.entry.GetOptions().GetPolicies(), key)
	if err != nil {
		return InForce{}, err
	}
	source, err := parcel.Unpack(r.manifest, r.blobs)
	if err != nil {
		return InForce{}, refusedError{err.Error()}
	}
	snapshot, refused := engine.Load(source, previous)
	if len(refused) == 0 {
		return InForce{Snapshot: snapshot, Cluster: cluster, Revision: revision}, nil
	}
	var texts []string
	for _, one := range refused[:min(len(refused), shownRefusals)] {
		texts = append(texts, fmt.Sprintf("%s:%d: %s", one.File, one.Line, one.Message))
	}
	if more := len(refused) - shownRefusals; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return InForce{}, refusedError{"this agent cannot load the policies, and keeps those it had: " + strings.Join(texts, "; ")}
}
