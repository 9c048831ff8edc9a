package identity

import (
	"crypto/sha256"
	"encoding/hex"
)

// HashToken is how a join token is kept: lower-case hex sha256.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
