package statusapi

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// User is who calls, as the hub's Kubernetes API knows them.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string]authenticationv1.ExtraValue
}

type userKey struct{}

// UserOf is the caller; nil where nobody signed in.
func UserOf(ctx context.Context) *User {
	user, _ := ctx.Value(userKey{}).(*User)
	return user
}

var errNotSignedIn = status.Error(codes.Unauthenticated,
	"not signed in: send a bearer token of the hub's cluster, or use a kubeconfig with a client certificate")

// authenticator finds out who calls: a bearer token by TokenReview, else the client certificate that TLS verified.
type authenticator struct {
	client client.Client
}

// HubClientCAs are the roots of the hub cluster's client certificates, as its API server publishes them; nil where it takes none.
func HubClientCAs(ctx context.Context, reader client.Reader) (*x509.CertPool, error) {
	var published corev1.ConfigMap
	key := client.ObjectKey{Namespace: "kube-system", Name: "extension-apiserver-authentication"}
	if err := reader.Get(ctx, key, &published); err != nil {
		return nil, fmt.Errorf("cannot read the hub cluster's client CA: %w", err)
	}
	text := published.Data["client-ca-file"]
	if text == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, errors.New("cannot read the hub cluster's client CA: no certificate in client-ca-file")
	}
	return pool, nil
}

func (a *authenticator) user(ctx context.Context, authorization string, chains [][]*x509.Certificate) (*User, error) {
	if token, ok := strings.CutPrefix(authorization, "Bearer "); ok {
		return a.byToken(ctx, token)
	}
	if len(chains) > 0 && len(chains[0]) > 0 {
		leaf := chains[0][0]
		if leaf.Subject.CommonName == "" {
			return nil, errNotSignedIn
		}
		return &User{Name: leaf.Subject.CommonName, Groups: append([]string{"system:authenticated"}, leaf.Subject.Organization...)}, nil
	}
	return nil, errNotSignedIn
}

func (a *authenticator) byToken(ctx context.Context, token string) (*User, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if err := a.client.Create(ctx, review); err != nil {
		return nil, status.Errorf(codes.Unavailable, "cannot check the token: the hub cluster's API did not answer")
	}
	if !review.Status.Authenticated {
		return nil, errNotSignedIn
	}
	info := review.Status.User
	return &User{Name: info.Username, UID: info.UID, Groups: info.Groups, Extra: info.Extra}, nil
}

// unary signs in a gRPC caller.
func (a *authenticator) unary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := a.grpc(ctx)
	if err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// stream signs in a gRPC caller of a call that streams.
func (a *authenticator) stream(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := a.grpc(stream.Context())
	if err != nil {
		return err
	}
	return handler(service, signedIn{stream, ctx})
}

// signedIn is a stream whose context knows the user.
type signedIn struct {
	grpc.ServerStream
	ctx context.Context
}

func (s signedIn) Context() context.Context { return s.ctx }

// grpc is the context of a call with its user.
func (a *authenticator) grpc(ctx context.Context) (context.Context, error) {
	var authorization string
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if values := md.Get("authorization"); len(values) > 0 {
			authorization = values[0]
		}
	}
	var chains [][]*x509.Certificate
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
			chains = info.State.VerifiedChains
		}
	}
	user, err := a.user(ctx, authorization, chains)
	if err != nil {
		return nil, err
	}
	return context.WithValue(ctx, userKey{}, user), nil
}

// http signs in a REST caller.
func (a *authenticator) http(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var chains [][]*x509.Certificate
		if r.TLS != nil {
			chains = r.TLS.VerifiedChains
		}
		user, err := a.user(r.Context(), r.Header.Get("Authorization"), chains)
		if err != nil {
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}
