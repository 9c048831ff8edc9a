package parcel

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// SigningKey reads a hub's key: a PEM file with an Ed25519 private key (PKCS #8), as `openssl genpkey -algorithm ed25519` makes.
func SigningKey(file string) (ed25519.PrivateKey, error) {
	return readKey[ed25519.PrivateKey](file, "PRIVATE KEY", x509.ParsePKCS8PrivateKey)
}

// PublicKey reads an agent's: a PEM file with the public half, as `openssl pkey -pubout` makes.
func PublicKey(file string) (ed25519.PublicKey, error) {
	return readKey[ed25519.PublicKey](file, "PUBLIC KEY", x509.ParsePKIXPublicKey)
}

func readKey[K ed25519.PrivateKey | ed25519.PublicKey](file, kind string, parse func([]byte) (any, error)) (K, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of policies: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("cannot read the key of policies in %q: it is no PEM file with an Ed25519 %s", file, kind)
	}
	parsed, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of policies in %q: %w", file, err)
	}
	key, ok := parsed.(K)
	if !ok {
		return nil, errors.New("cannot read the key of policies in " + file + ": it is no Ed25519 key")
	}
	return key, nil
}
