package content_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func entry(bundle, revision string, capabilities ...string) *linkv1.Entry {
	return &linkv1.Entry{Bundle: bundle, Revision: revision, RequiredCapabilities: capabilities}
}

func TestSetHashAlgebra(t *testing.T) {
	a, b, c := entry("fleet/a", "sha256:1"), entry("fleet/b", "sha256:2"), entry("fleet/c", "sha256:3")
	set := func(entries ...*linkv1.Entry) content.Hash {
		m := map[string]*linkv1.Entry{}
		for _, e := range entries {
			m[e.GetBundle()] = e
		}
		return content.SetHash(m)
	}
	hash := content.EntryHash
	max := content.Hash{}
	for i := range max {
		max[i] = 0xff
	}
	one := content.Hash{len(content.Hash{}) - 1: 1}
	cases := map[string]struct {
		reason    string
		got, want content.Hash
	}{
		"Empty":            {reason: "an agent without bundles has the zero hash", got: set(), want: content.Hash{}},
		"OrderIsNothing":   {reason: "both sides list their entries in any order", got: hash(b).Add(hash(a)), want: set(a, b)},
		"AddIsIncremental": {reason: "the store updates the hash in O(1)", got: set(a, b).Add(hash(c)), want: set(a, b, c)},
		"SubUndoesAdd":     {reason: "a bundle that leaves takes its hash along", got: set(a, b, c).Sub(hash(b)), want: set(a, c)},
		"ChangeIsBoth":     {reason: "a new revision replaces the old one's hash", got: set(a, b).Sub(hash(b)).Add(hash(entry("fleet/b", "sha256:9"))), want: set(a, entry("fleet/b", "sha256:9"))},
		"AddWraps":         {reason: "the sum is modulo 2^256: carries run through all words", got: max.Add(one), want: content.Hash{}},
		"SubWraps":         {reason: "and so do borrows", got: content.Hash{}.Sub(one), want: max},
		"CapabilitiesAreASet": {reason: "the order of capabilities means nothing",
			got: hash(entry("fleet/a", "sha256:1", "x", "y")), want: hash(entry("fleet/a", "sha256:1", "y", "x"))},
		"CommitIsForPeople": {reason: "a commit that changes nothing else does not travel",
			got: hash(&linkv1.Entry{Bundle: "fleet/a", Revision: "sha256:1", Commit: "abc"}), want: hash(a)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestEntryHashTellsApart(t *testing.T) {
	base := entry("fleet/a", "sha256:1", "x")
	cases := map[string]*linkv1.Entry{
		"Bundle":       entry("fleet/b", "sha256:1", "x"),
		"Revision":     entry("fleet/a", "sha256:2", "x"),
		"Capabilities": entry("fleet/a", "sha256:1", "x", "y"),
		"Options":      {Bundle: "fleet/a", Revision: "sha256:1", RequiredCapabilities: []string{"x"}, Options: &linkv1.Options{ServiceAccountName: "other"}},
	}
	for name, other := range cases {
		t.Run(name, func(t *testing.T) {
			if content.EntryHash(base) == content.EntryHash(other) {
				t.Error("the change would never reach the agent: both entries have one hash")
			}
		})
	}
}

func TestHashFrom(t *testing.T) {
	cases := map[string]struct {
		reason string
		data   []byte
		ok     bool
	}{
		"Empty": {reason: "proto3 leaves out the empty set's hash", data: nil, ok: true},
		"Full":  {reason: "32 bytes", data: make([]byte, 32), ok: true},
		"Short": {reason: "a hash of another length is a broken peer", data: make([]byte, 31)},
		"Long":  {reason: "a hash of another length is a broken peer", data: make([]byte, 33)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := content.HashFrom(tc.data); (err == nil) != tc.ok {
				t.Errorf("%s: got %v", tc.reason, err)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	cases := map[string]struct {
		reason        string
		digest        content.Digest
		valid, secret bool
	}{
		"Plain":        {reason: "what Sum makes", digest: content.Sum([]byte("x")), valid: true},
		"Secret":       {reason: "what SumSecret makes", digest: content.SumSecret([]byte("key"), []byte("x")), valid: true, secret: true},
		"UpperCase":    {reason: "one content has one name", digest: content.Digest("sha256:" + strings.ToUpper(hex))},
		"Short":        {reason: "a cut digest names many contents", digest: content.Digest("sha256:" + hex[:62])},
		"OtherHash":    {reason: "an algorithm that we do not check", digest: content.Digest("md5:" + hex)},
		"NoAlgorithm":  {reason: "an algorithm is always named", digest: content.Digest(hex)},
		"PathInDigest": {reason: "digests become file and Secret names", digest: "sha256:../../etc/passwd"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := tc.digest.Validate(); (err == nil) != tc.valid {
				t.Errorf("%s: got %v", tc.reason, err)
			}
			if tc.digest.Secret() != tc.secret {
				t.Errorf("%s: Secret is %v", tc.reason, tc.digest.Secret())
			}
		})
	}
	if content.SumSecret([]byte("key"), []byte("x")) == content.SumSecret([]byte("other"), []byte("x")) {
		t.Error("a Secret's digest must depend on the fleet's key, or it can be guessed")
	}
}

func TestManifest(t *testing.T) {
	digest := content.Sum([]byte("x"))
	item := func(kind, name string) content.Item {
		return content.Item{ObjectID: content.ObjectID{Kind: kind, Name: name}, Phase: content.PhaseOf("", kind), Digest: digest}
	}
	m := content.Manifest{DefaultNamespace: "shop", Items: []content.Item{item("Pod", "web"), item("ConfigMap", "b"), item("Namespace", "shop"), item("ConfigMap", "a")}}
	m.Sort()
	var order []string
	for _, i := range m.Items {
		order = append(order, i.String())
	}
	if diff := cmp.Diff([]string{"Namespace shop", "ConfigMap a", "ConfigMap b", "Pod web"}, order); diff != "" {
		t.Errorf("objects are applied in phases, then by identity: -want +got:\n%s", diff)
	}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := content.DecodeManifest(data)
	if diff := cmp.Diff(m, decoded); err != nil || diff != "" {
		t.Errorf("a manifest survives its encoding: %v, -want +got:\n%s", err, diff)
	}
	before, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	m.Items[0].Source = "bundles/shop/ns.yaml:12"
	if after, err := m.Digest(); err != nil || after != before {
		t.Errorf("a moved line made a new revision (%v)", err)
	}
	m.DefaultNamespace = "other"
	if after, err := m.Digest(); err != nil || after == before {
		t.Errorf("another default namespace is another revision (%v)", err)
	}
}

func TestDecodeManifestRefuses(t *testing.T) {
	digest := string(content.Sum([]byte("x")))
	cases := map[string]struct{ reason, data, want string }{
		"NotJSON":      {reason: "a broken blob", data: `{"items": [`, want: "cannot decode"},
		"UnknownField": {reason: "a newer format must not be half read", data: `{"items": [], "hooks": []}`, want: "hooks"},
		"BadDigest":    {reason: "what it names could not be checked", data: `{"items": [{"kind": "Pod", "name": "a", "phase": 5, "digest": "sha256:1"}]}`, want: "digest"},
		"NoName":       {reason: "an object has a name", data: `{"items": [{"kind": "Pod", "phase": 5, "digest": "` + digest + `"}]}`, want: "name"},
		"NoKind":       {reason: "an object has a kind", data: `{"items": [{"name": "a", "phase": 5, "digest": "` + digest + `"}]}`, want: "kind"},
		"Twice": {reason: "one object cannot have two contents",
			data: `{"items": [{"kind": "Pod", "name": "a", "phase": 5, "digest": "` + digest + `"}, {"kind": "Pod", "name": "a", "phase": 5, "digest": "` + digest + `"}]}`, want: "twice"},
		"WrongOrder": {reason: "one revision has one form, or its digest would not name it",
			data: `{"items": [{"kind": "Pod", "name": "b", "phase": 5, "digest": "` + digest + `"}, {"kind": "Pod", "name": "a", "phase": 5, "digest": "` + digest + `"}]}`, want: "order"},
		"TrailingData": {reason: "one blob is one manifest", data: `{"items": []} {"items": []}`, want: "after"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := content.DecodeManifest([]byte(tc.data))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want an error with %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestCanonicalJSON(t *testing.T) {
	got, err := content.CanonicalJSON(map[string]any{"b": "<a&b>", "a": []any{1.0, nil}})
	if diff := cmp.Diff(`{"a":[1,null],"b":"<a&b>"}`, string(got)); err != nil || diff != "" {
		t.Errorf("keys are sorted and text is kept: %v, -want +got:\n%s", err, diff)
	}
	if _, err := content.CanonicalJSON(func() {}); err == nil || errors.Unwrap(err) == nil {
		t.Errorf("what cannot be encoded is an error with its cause, got %v", err)
	}
}
