package statusapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/periplus-fleet/periplus/api/openapi"
	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
)

// bodyMax bounds a request's body.
const bodyMax = 1 << 20

// Handler serves gRPC and REST on one TLS port. hooks serves /hooks/ (push webhooks), which authenticate by their own means.
func (s *Service) Handler(ctx context.Context, hooks http.Handler) (http.Handler, error) {
	auth := &authenticator{client: s.cfg.Client}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(bodyMax), grpc.UnaryInterceptor(auth.unary), grpc.StreamInterceptor(auth.stream))
	statusv1.RegisterFleetServer(server, s)
	gateway := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitDefaultValues: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
	}))
	if err := statusv1.RegisterFleetHandlerServer(ctx, gateway, s); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	// The gateway cannot stream in one process.
	mux.Handle("GET /api/v1/namespaces/{namespace}/clusters/{cluster}/deliveries/{bundle}/live/logs", auth.http(http.HandlerFunc(s.serveLogs)))
	mux.Handle("/api/v1/", auth.http(http.MaxBytesHandler(gateway, bodyMax)))
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openapi.Document)
	})
	mux.Handle("/hooks/", http.MaxBytesHandler(hooks, bodyMax))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			server.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}
