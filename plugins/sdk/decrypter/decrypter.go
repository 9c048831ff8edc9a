// Package decrypter is what a decrypter plugin implements: it opens encrypted files of bundles that ask the hub for it
// (decrypt: hub), before the render stage reads them. What it opens is as secret as its keys: a decrypter logs and keeps
// none of it.
package decrypter

import "context"

// Decrypter opens files. It must be safe for concurrent use.
type Decrypter interface {
	Name() string
	Version() string
	// Decrypt returns the plaintext. A mistake in the file is a *renderer.Error.
	Decrypt(ctx context.Context, request Request) ([]byte, error)
}

// Request is one encrypted file.
type Request struct {
	// Path in the repository, for messages.
	Path string
	// Format is yaml, json, dotenv or binary.
	Format string
	Data   []byte
}
