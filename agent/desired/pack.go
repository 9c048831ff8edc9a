package desired

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/periplus-fleet/periplus/api/content"
)

// Limits of a pack. A Secret holds at most 1 MiB; its list of digests stands in an annotation (256 KiB at most), so that
// a start reads which content is held without reading the content.
const (
	maxPackData  = 512 << 10
	maxPackRaw   = 2 << 20
	maxPackBlobs = 1000
)

// A pack is a number of blobs, compressed together: name (a digest of all), the digests in order, and one or more parts
// of at most maxPackData.
type pack struct {
	name    string
	digests []content.Digest
	parts   [][]byte
}

// encodePack compresses blobs; an encoded pack is: for each blob its length (uvarint), then all blobs.
func encodePack(blobs map[content.Digest][]byte) (pack, error) {
	p := pack{digests: make([]content.Digest, 0, len(blobs))}
	for digest := range blobs {
		p.digests = append(p.digests, digest)
	}
	slices.Sort(p.digests)
	sum := sha256.New()
	var raw []byte
	for _, digest := range p.digests {
		sum.Write([]byte(digest + "\n"))
		raw = binary.AppendUvarint(raw, uint64(len(blobs[digest])))
	}
	for _, digest := range p.digests {
		raw = append(raw, blobs[digest]...)
	}
	data, err := Compress(raw)
	if err != nil {
		return pack{}, err
	}
	// The bytes are part of the name: parts that another build of the compressor left behind are never taken for these.
	sum.Write(data)
	p.name = hex.EncodeToString(sum.Sum(nil)[:16])
	for part := range slices.Chunk(data, maxPackData) {
		p.parts = append(p.parts, part)
	}
	return p, nil
}

// decodePack is the reverse; each plain blob is verified against its digest.
func decodePack(digests []content.Digest, data []byte) (map[content.Digest][]byte, error) {
	raw, err := Decompress(data)
	if err != nil {
		return nil, err
	}
	lengths := make([]uint64, len(digests))
	for i := range lengths {
		length, n := binary.Uvarint(raw)
		if n <= 0 {
			return nil, fmt.Errorf("cannot decode content: lengths are cut off")
		}
		lengths[i], raw = length, raw[n:]
	}
	blobs := make(map[content.Digest][]byte, len(digests))
	for i, digest := range digests {
		if uint64(len(raw)) < lengths[i] {
			return nil, fmt.Errorf("cannot decode content: %s is cut off", digest)
		}
		blob := raw[:lengths[i]:lengths[i]]
		raw = raw[lengths[i]:]
		if !digest.Secret() && content.Sum(blob) != digest {
			return nil, fmt.Errorf("cannot decode content: %s has other bytes than its digest says", digest)
		}
		blobs[digest] = blob
	}
	return blobs, nil
}

// joinDigests is the annotation's form of a list of digests.
func joinDigests(digests []content.Digest) string {
	texts := make([]string, len(digests))
	for i, digest := range digests {
		texts[i] = string(digest)
	}
	return strings.Join(texts, " ")
}

func splitDigests(text string) []content.Digest {
	var digests []content.Digest
	for _, field := range strings.Fields(text) {
		digests = append(digests, content.Digest(field))
	}
	return digests
}

// Encoders and decoders are large to make and are used for a moment, often: what the collector leaves of them is used
// again, and an agent at rest has none.
var (
	encoders = sync.Pool{New: func() any {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
		return &pooled[*zstd.Encoder]{encoder, err}
	}}
	decoders = sync.Pool{New: func() any {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(64<<20))
		return &pooled[*zstd.Decoder]{decoder, err}
	}}
)

type pooled[T any] struct {
	coder T
	err   error
}

// Compress is zstd in one frame, with little memory.
func Compress(data []byte) ([]byte, error) {
	p := encoders.Get().(*pooled[*zstd.Encoder])
	if p.err != nil {
		return nil, fmt.Errorf("cannot compress: %w", p.err)
	}
	defer encoders.Put(p)
	return p.coder.EncodeAll(data, nil), nil
}

// Decompress reads what Compress wrote, up to 64 MiB.
func Decompress(data []byte) ([]byte, error) {
	p := decoders.Get().(*pooled[*zstd.Decoder])
	if p.err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", p.err)
	}
	defer decoders.Put(p)
	raw, err := p.coder.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	return raw, nil
}
