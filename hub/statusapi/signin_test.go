package statusapi

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/store"
)

// answering is a hub cluster that answers creations by a function alone.
func answering(t *testing.T, answer func(client.Object) error) client.Client {
	t.Helper()
	return fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
			return answer(object)
		},
	}).Build()
}

func TestWhoCalls(t *testing.T) {
	kube := answering(t, func(object client.Object) error {
		review := object.(*authenticationv1.TokenReview)
		switch review.Spec.Token {
		case "good":
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true,
				User: authenticationv1.UserInfo{Username: "ann", UID: "7", Groups: []string{"ops"}}}
		case "down":
			return errors.New("connection refused")
		}
		return nil
	})
	chain := func(name string, groups ...string) [][]*x509.Certificate {
		return [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name, Organization: groups}}}}
	}
	cases := map[string]struct {
		reason, authorization string
		chains                [][]*x509.Certificate
		name                  string
		groups                []string
		code                  codes.Code
	}{
		"Token":            {"a token is who TokenReview says", "Bearer good", nil, "ann", []string{"ops"}, codes.OK},
		"TokenFirst":       {"a token stands over the certificate of the connection", "Bearer good", chain("bob"), "ann", []string{"ops"}, codes.OK},
		"WrongToken":       {"a wrong token is not made good by a certificate", "Bearer other", chain("bob"), "", nil, codes.Unauthenticated},
		"EmptyToken":       {"an empty token is a wrong one", "Bearer ", nil, "", nil, codes.Unauthenticated},
		"NoReview":         {"an outage is no denial", "Bearer down", nil, "", nil, codes.Unavailable},
		"Certificate":      {"CN is the name, O are the groups", "", chain("bob", "dev"), "bob", []string{"system:authenticated", "dev"}, codes.OK},
		"NamelessCert":     {"a certificate without a name is nobody", "", chain("", "system:masters"), "", nil, codes.Unauthenticated},
		"UnverifiedChains": {"only chains that TLS verified count", "", nil, "", nil, codes.Unauthenticated},
		"OtherScheme":      {"other schemes are not taken", "Basic YTpi", nil, "", nil, codes.Unauthenticated},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			user, err := (&authenticator{client: kube}).user(t.Context(), tc.authorization, tc.chains)
			if status.Code(err) != tc.code {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if err == nil && (user.Name != tc.name || !slices.Equal(user.Groups, tc.groups)) {
				t.Errorf("%s: got %+v", tc.reason, user)
			}
		})
	}
}

func TestAReviewHoldsForTenSeconds(t *testing.T) {
	reviews, allowed, down := 0, true, false
	auth := newAuthorizer(answering(t, func(object client.Object) error {
		if down {
			return errors.New("connection refused")
		}
		reviews++
		object.(*authorizationv1.SubjectAccessReview).Status.Allowed = allowed
		return nil
	}))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	auth.now = func() time.Time { return now }
	ann := &User{Name: "ann", Groups: []string{"ops"}}
	as := func(user *User, namespace string) codes.Code {
		return status.Code(auth.require(context.WithValue(t.Context(), userKey{}, user), "ListBundles", namespace))
	}
	steps := []struct {
		reason  string
		before  func()
		user    *User
		where   string
		code    codes.Code
		reviews int
	}{
		{"the first call asks", func() {}, ann, "a", codes.OK, 1},
		{"the next does not", func() { allowed = false }, ann, "a", codes.OK, 1},
		{"another namespace is another question", func() {}, ann, "b", codes.PermissionDenied, 2},
		{"so are other groups of one name", func() {}, &User{Name: "ann"}, "a", codes.PermissionDenied, 3},
		{"just before the end it still holds", func() { now = now.Add(reviewTTL - time.Millisecond) }, ann, "a", codes.OK, 3},
		{"then a right taken away is gone", func() { now = now.Add(time.Millisecond) }, ann, "a", codes.PermissionDenied, 4},
		{"an outage allows nobody", func() { now, down = now.Add(reviewTTL), true }, ann, "a", codes.Unavailable, 4},
	}
	for _, step := range steps {
		step.before()
		if code := as(step.user, step.where); code != step.code || reviews != step.reviews {
			t.Fatalf("%s: %s after %d reviews, want %s after %d", step.reason, code, reviews, step.code, step.reviews)
		}
	}
	if code := status.Code(auth.require(t.Context(), "ListBundles", "a")); code != codes.Unauthenticated {
		t.Errorf("a call without a user: %s", code)
	}
	if code := status.Code(auth.require(context.WithValue(t.Context(), userKey{}, ann), "DropEverything", "a")); code != codes.PermissionDenied {
		t.Errorf("a call without a permission: %s", code)
	}
}

func TestCallsOfOneUserAreBounded(t *testing.T) {
	auth := newAuthorizer(answering(t, func(client.Object) error { return nil }))
	call := func(name string) codes.Code {
		return status.Code(auth.require(context.WithValue(t.Context(), userKey{}, &User{Name: name}), "GetVersion", ""))
	}
	refused := false
	for range 10 * callsBurst {
		refused = refused || call("ann") == codes.ResourceExhausted
	}
	if !refused {
		t.Error("a thousand calls at once were all answered")
	}
	if code := call("bob"); code != codes.OK {
		t.Errorf("another user pays for it: %s", code)
	}
}

// deaf is a store that records no act.
type deaf struct{ Store }

func (deaf) Audit(context.Context, store.AuditRecord) error { return errors.New("disk full") }

// TestAnActThatCannotBeRecordedIsNotDone calls every act; none may reach the hub's cluster or the rest of the store.
func TestAnActThatCannotBeRecordedIsNotDone(t *testing.T) {
	r := newRig(t)
	// A restore, about which somebody may decide.
	if _, err := r.store.NewEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	service := New(Config{Store: deaf{r.store}, Client: r.kube, Tokens: forbidden{t}})
	ctx := context.WithValue(t.Context(), userKey{}, &User{Name: "admin"})
	acts := map[string]func() error{
		"CreateJoinToken": func() error {
			_, err := service.CreateJoinToken(ctx, &statusv1.CreateJoinTokenRequest{Namespace: "team-a", Cluster: "one"})
			return err
		},
		"RevokeJoinToken": func() error {
			_, err := service.RevokeJoinToken(ctx, &statusv1.GetRequest{Namespace: "team-a", Name: "x"})
			return err
		},
		"RevokeCluster": func() error {
			_, err := service.RevokeCluster(ctx, &statusv1.GetRequest{Namespace: "team-a", Name: "one"})
			return err
		},
		"Recover": func() error {
			_, err := service.Recover(ctx, &statusv1.RecoverRequest{Namespace: "team-a", Decision: "accept"})
			return err
		},
	}
	for name, act := range acts {
		t.Run(name, func(t *testing.T) {
			if err := act(); status.Code(err) != codes.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
	var cluster v1alpha1.FleetCluster
	if err := r.kube.Get(ctx, client.ObjectKey{Namespace: "team-a", Name: "one"}, &cluster); err != nil || cluster.Spec.Identity.NotBefore != nil {
		t.Error("the cluster was revoked", err)
	}
	if words, err := r.store.Words(ctx, "team-a", store.WordRecover); err != nil || len(words) != 0 {
		t.Error("the decision stands", words, err)
	}
}

// forbidden makes and ends no token.
type forbidden struct{ *testing.T }

func (f forbidden) Create(context.Context, string, string, time.Duration, bool) (string, string, time.Time, error) {
	f.Error("a token was made")
	return "", "", time.Time{}, nil
}

func (f forbidden) Revoke(context.Context, string, string) error {
	f.Error("a token was ended")
	return nil
}
