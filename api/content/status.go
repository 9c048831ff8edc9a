package content

import (
	"crypto/sha256"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// StatusHash is the hash of what an agent reported of one bundle. Events are not in it: they happen once and are no state.
// The hash of all that was reported is the sum over bundles, as for entries.
func StatusHash(status *linkv1.BundleStatus) Hash {
	bare := proto.CloneOf(status)
	bare.Events = nil
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		// Only invalid UTF-8 can fail here, and that does not come off the wire.
		return Hash(sha256.Sum256([]byte(err.Error())))
	}
	return Hash(sha256.Sum256(data))
}
