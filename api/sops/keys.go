package sops

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	agearmor "filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Keys open data keys. The zero value opens nothing.
type Keys struct {
	identities []age.Identity
	ring       openpgp.EntityList
}

// The names of keys, as Flux has them: <name>.agekey holds age identities, <name>.asc an armored OpenPGP private key.
const (
	AgeSuffix = ".agekey"
	PGPSuffix = ".asc"
)

// ReadKeys reads the keys of a Secret's data; other names are passed over. A key that cannot be read is an error of its
// own, named by the Secret's key, and does not keep the others from being used.
func ReadKeys(data map[string][]byte) (*Keys, error) {
	keys := &Keys{}
	var errs []error
	names := make([]string, 0, len(data))
	for name := range data {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var err error
		switch {
		case strings.HasSuffix(name, AgeSuffix):
			err = keys.AddAge(string(data[name]))
		case strings.HasSuffix(name, PGPSuffix):
			err = keys.AddPGP(string(data[name]))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("key %q: %w", name, err))
		}
	}
	return keys, errors.Join(errs...)
}

// AddAge takes age identities, one a line (AGE-SECRET-KEY-...), with comments.
func (k *Keys) AddAge(text string) error {
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		// The parser's words may hold a part of the key.
		return errors.New("it holds no age identity: each line must be one (AGE-SECRET-KEY-...) or a comment")
	}
	k.identities = append(k.identities, identities...)
	return nil
}

// AddPGP takes an armored OpenPGP private key without passphrase.
func (k *Keys) AddPGP(text string) error {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("it holds no armored OpenPGP key: %w", err)
	}
	for _, entity := range ring {
		switch {
		case entity.PrivateKey == nil:
			return errors.New("it holds a public OpenPGP key, the private one is needed (gpg --export-secret-keys --armor)")
		case entity.PrivateKey.Encrypted:
			return errors.New("its OpenPGP key is protected by a passphrase: export it without one")
		}
	}
	k.ring = append(k.ring, ring...)
	return nil
}

// Empty says that there is no key at all.
func (k *Keys) Empty() bool { return k == nil || len(k.identities) == 0 && len(k.ring) == 0 }

// dataKey opens the document's data key with any of the keys that hold it.
func (k *Keys) dataKey(meta metadata) ([]byte, error) {
	group := meta.keyGroup
	switch len(meta.KeyGroups) {
	case 0:
	case 1:
		group = meta.KeyGroups[0]
	default:
		return nil, fmt.Errorf("sops.key_groups: a data key that is split over %d groups of keys (Shamir) %w", len(meta.KeyGroups), ErrUnsupported)
	}
	if k == nil {
		k = &Keys{}
	}
	for _, key := range group.Age {
		if opened, err := k.openAge(key.Enc); err == nil {
			return opened, nil
		}
	}
	for _, key := range group.PGP {
		if opened, err := k.openPGP(key.Enc); err == nil {
			return opened, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoKey, group.wants())
}

// wants says for which keys a document was encrypted.
func (g keyGroup) wants() string {
	var names []string
	for _, key := range g.Age {
		names = append(names, "age "+key.Recipient)
	}
	for _, key := range g.PGP {
		names = append(names, "OpenPGP "+key.Fingerprint)
	}
	for _, service := range g.services() {
		names = append(names, service+" (a key service, which is not asked here)")
	}
	if len(names) == 0 {
		return "it names none"
	}
	return "it is encrypted for " + strings.Join(names, ", ")
}

func (k *Keys) openAge(enc string) ([]byte, error) {
	if len(k.identities) == 0 {
		return nil, ErrNoKey
	}
	plain, err := age.Decrypt(agearmor.NewReader(strings.NewReader(enc)), k.identities...)
	if err != nil {
		return nil, err
	}
	return readKey(plain)
}

func (k *Keys) openPGP(enc string) ([]byte, error) {
	if len(k.ring) == 0 {
		return nil, ErrNoKey
	}
	block, err := armor.Decode(strings.NewReader(enc))
	if err != nil {
		return nil, err
	}
	message, err := openpgp.ReadMessage(block.Body, k.ring, nil, nil)
	if err != nil {
		return nil, err
	}
	return readKey(message.UnverifiedBody)
}

// readKey reads no more than one byte beyond a data key: a longer one is wrong.
func readKey(from io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(from, dataKeySize+1))
}
