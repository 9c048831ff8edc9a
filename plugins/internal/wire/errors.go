package wire

import (
	"errors"
	"io/fs"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// ToStatus is an error as it travels. What callers branch on survives: *renderer.Error and the errors of io/fs.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	var refused *renderer.Error
	if errors.As(err, &refused) {
		detailed, detailErr := status.New(codes.InvalidArgument, err.Error()).WithDetails(
			&pluginv1.Refusal{File: refused.File, Line: int32(refused.Line), Message: refused.Message})
		if detailErr == nil {
			return detailed.Err()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, fs.ErrPermission):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, fs.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if received, ok := status.FromError(err); ok && received.Code() == codes.InvalidArgument {
		return err
	}
	// Other codes would say something of this connection that is true of another.
	return status.Error(codes.Unknown, err.Error())
}

// FromStatus is the error that ToStatus was given, as far as it travelled.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	received, ok := status.FromError(err)
	if !ok {
		return err
	}
	out := &remote{text: received.Message()}
	for _, detail := range received.Details() {
		if refusal, ok := detail.(*pluginv1.Refusal); ok {
			refused := &renderer.Error{File: refusal.GetFile(), Line: int(refusal.GetLine()), Message: refusal.GetMessage()}
			if refused.Error() == out.text {
				return refused
			}
			out.cause = refused
			return out
		}
	}
	switch received.Code() {
	case codes.NotFound:
		out.cause = fs.ErrNotExist
	case codes.PermissionDenied:
		out.cause = fs.ErrPermission
	case codes.InvalidArgument:
		out.cause = fs.ErrInvalid
	default:
		out.cause = err
	}
	return out
}

// remote is the text of the other side with what of its cause is known here.
type remote struct {
	text  string
	cause error
}

func (e *remote) Error() string { return e.text }

func (e *remote) Unwrap() error { return e.cause }
