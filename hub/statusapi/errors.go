package statusapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/hub/store"
)

// unavailable turns an error of the store or of the hub cluster's API into the caller's: what was asked for wrongly is said,
// what broke inside is not spelled out.
func unavailable(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	switch {
	case errors.Is(err, store.ErrNotFound) || apierrors.IsNotFound(err):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, store.ErrInvalidQuery):
		return status.Error(codes.InvalidArgument, err.Error())
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsAlreadyExists(err):
		return status.Error(codes.FailedPrecondition, err.Error())
	default:
		return status.Error(codes.Unavailable, "the hub cannot answer now: "+err.Error())
	}
}

// writeError answers a REST call that did not reach the gateway, in the gateway's form.
func writeError(w http.ResponseWriter, err error) {
	from := status.Convert(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(runtime.HTTPStatusFromCode(from.Code()))
	_ = json.NewEncoder(w).Encode(map[string]any{"code": int(from.Code()), "message": from.Message()})
}
