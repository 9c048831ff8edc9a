package link

import (
	"crypto/sha256"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	// maxDigests of one request, maxBlobs bytes of one answer message, readTogether blobs read from the store at once.
	maxDigests   = 5000
	maxBlobs     = 4 << 20
	readTogether = 64
	// maxBlob is what fits a message with its frame; Kubernetes takes no object that large.
	maxBlob = maxBlobs - 64<<10
)

// Fetch sends content of one revision that the cluster may have.
func (s *Service) Fetch(request *linkv1.FetchRequest, grpcStream grpc.ServerStreamingServer[linkv1.FetchResponse]) error {
	ctx := grpcStream.Context()
	agent, err := s.authenticate(ctx)
	if err != nil {
		return err
	}
	done, err := s.limits.take("Fetch", agent.UID)
	if err != nil {
		return err
	}
	defer done()
	if len(request.GetDigests()) > maxDigests {
		return status.Errorf(codes.InvalidArgument, "more than %d digests: ask in parts", maxDigests)
	}
	revision := content.Digest(request.GetRevision())
	may, err := s.config.Store.MayFetch(ctx, agent.UID, request.GetBundle(), revision)
	if err != nil {
		return status.Error(codes.Unavailable, "the hub cannot reach its store")
	}
	if !may {
		return status.Errorf(codes.PermissionDenied, "revision %s of bundle %q is not assigned to cluster %q", revision, request.GetBundle(), agent.Cluster())
	}
	manifest, err := s.config.Store.Blobs(ctx, []content.Digest{revision})
	if err != nil {
		return status.Error(codes.Unavailable, "the hub cannot reach its store")
	}
	wanted, err := permitted(revision, manifest[revision], request.GetDigests())
	if err != nil {
		return err
	}
	return s.sendBlobs(grpcStream, wanted)
}

// permitted holds the digests asked for against the revision's manifest.
func permitted(revision content.Digest, data []byte, asked []string) ([]content.Digest, error) {
	if data == nil {
		return nil, status.Errorf(codes.NotFound, "the manifest of revision %s is not in the store", revision)
	}
	manifest, err := content.DecodeManifest(data)
	if err != nil {
		return nil, status.Errorf(codes.DataLoss, "revision %s: %v", revision, err)
	}
	holds := map[content.Digest]bool{revision: true}
	for _, item := range manifest.Items {
		holds[item.Digest] = true
	}
	wanted, seen := make([]content.Digest, 0, len(asked)), map[content.Digest]bool{}
	for _, name := range asked {
		digest := content.Digest(name)
		if !holds[digest] {
			return nil, status.Errorf(codes.PermissionDenied, "revision %s holds no %.100q", revision, name)
		}
		if !seen[digest] {
			seen[digest] = true
			wanted = append(wanted, digest)
		}
	}
	return wanted, nil
}

func (s *Service) sendBlobs(grpcStream grpc.ServerStreamingServer[linkv1.FetchResponse], wanted []content.Digest) error {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10))
	if err != nil {
		return status.Errorf(codes.Internal, "cannot compress: %v", err)
	}
	response, size := &linkv1.FetchResponse{}, 0
	flush := func() error {
		if len(response.Blobs) == 0 {
			return nil
		}
		s.metrics.fetched.Add(float64(size))
		err := grpcStream.Send(response)
		response, size = &linkv1.FetchResponse{}, 0
		return err
	}
	for len(wanted) > 0 {
		part := wanted[:min(readTogether, len(wanted))]
		wanted = wanted[len(part):]
		blobs, err := s.config.Store.Blobs(grpcStream.Context(), part)
		if err != nil {
			return status.Error(codes.Unavailable, "the hub cannot reach its store")
		}
		for _, digest := range part {
			data, ok := blobs[digest]
			if !ok {
				return status.Errorf(codes.NotFound, "content %s is not in the store", digest)
			}
			sum := sha256.Sum256(data)
			blob := &linkv1.Blob{Digest: string(digest), Data: encoder.EncodeAll(data, nil), Sha256: sum[:]}
			if len(blob.GetData()) > maxBlob {
				return status.Errorf(codes.ResourceExhausted, "content %s is larger than a message", digest)
			}
			if size+len(blob.GetData()) > maxBlob {
				if err := flush(); err != nil {
					return err
				}
			}
			response.Blobs = append(response.Blobs, blob)
			size += len(blob.GetData())
		}
	}
	return flush()
}
