package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/periplus-fleet/periplus/api/content"
)

// sealer encrypts the content of Secrets with AES-256-GCM, bound to its digest.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the store's key has %d bytes, not %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(digest content.Digest, data []byte) []byte {
	if !digest.Secret() {
		return data
	}
	return s.sealNamed([]byte(digest), data)
}

func (s *sealer) open(digest content.Digest, data []byte) ([]byte, error) {
	if !digest.Secret() {
		return data, nil
	}
	return s.openNamed([]byte(digest), data)
}

// sealNamed encrypts data, bound to a name.
func (s *sealer) sealNamed(name, data []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, data, name)
}

func (s *sealer) openNamed(name, data []byte) ([]byte, error) {
	if len(data) < s.aead.NonceSize() {
		return nil, errors.New("sealed content is too short")
	}
	plain, err := s.aead.Open(nil, data[:s.aead.NonceSize()], data[s.aead.NonceSize():], name)
	if err != nil {
		return nil, fmt.Errorf("cannot decrypt secret content: is the store's key the one that it was written with? %w", err)
	}
	return plain, nil
}
