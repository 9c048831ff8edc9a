package statusapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// permission is what a call needs in the namespace that it is about.
type permission struct {
	resource    string
	subresource string
	verb        string
}

// permissions names every call. A call that does not stand here is refused, and a test fails.
var permissions = map[string]permission{
	"ListRepos":         {"fleetrepos", "", "list"},
	"GetRepo":           {"fleetrepos", "", "get"},
	"SyncRepo":          {"fleetrepos", "sync", "create"},
	"ListClusters":      {"fleetclusters", "", "list"},
	"GetCluster":        {"fleetclusters", "", "get"},
	"ListBundles":       {"bundles", "", "list"},
	"GetBundle":         {"bundles", "", "get"},
	"ListDeliveries":    {"deliveries", "", "list"},
	"GetDelivery":       {"deliveries", "", "get"},
	"ListObjects":       {"objects", "", "list"},
	"GetLiveObject":     {"objects", "content", "get"},
	"DiffLive":          {"objects", "content", "get"},
	"GetLiveTree":       {"objects", "", "list"},
	"ListLiveEvents":    {"objects", "", "list"},
	"ExplainLive":       {"objects", "", "list"},
	"StreamLogs":        {"objects", "logs", "get"},
	"AbortDelivery":     {"deliveries", "abort", "create"},
	"ListHistory":       {"history", "", "list"},
	"ListPolicyResults": {"policyresults", "", "list"},
	"CreateJoinToken":   {"jointokens", "", "create"},
	"ListJoinTokens":    {"jointokens", "", "list"},
	"RevokeJoinToken":   {"jointokens", "", "delete"},
	"RevokeCluster":     {"fleetclusters", "identity", "delete"},
	"Confirm":           {"deliveries", "confirm", "create"},
	"ListHolds":         {"deliveries", "", "list"},
	"RecoverPlan":       {"recovery", "", "get"},
	"Recover":           {"recovery", "", "create"},
	"ListAudit":         {"audit", "", "list"},
	"ListPlugins":       {"plugins", "", "list"},
	"CheckPlugin":       {"plugins", "", "get"},
	"GetVersion":        {},
}

const (
	reviewTTL  = 10 * time.Second
	reviewsMax = 10_000
	// callsPerSecond and callsBurst bound one user.
	callsPerSecond = 50
	callsBurst     = 100
)

// authorizer asks the hub cluster whether a user may, by SubjectAccessReview; answers are kept for 10 s.
type authorizer struct {
	client client.Client
	now    func() time.Time

	mu      sync.Mutex
	answers map[reviewKey]reviewAnswer
	limits  map[string]*rate.Limiter
}

type reviewKey struct {
	user, groups, namespace string
	permission              permission
}

type reviewAnswer struct {
	allowed bool
	until   time.Time
}

func newAuthorizer(c client.Client) *authorizer {
	return &authorizer{client: c, now: time.Now, answers: map[reviewKey]reviewAnswer{}, limits: map[string]*rate.Limiter{}}
}

// require refuses a call that the user may not make in the namespace.
func (a *authorizer) require(ctx context.Context, call, namespace string) error {
	user := UserOf(ctx)
	if user == nil {
		return errNotSignedIn
	}
	if !a.limiter(user.Name).Allow() {
		return status.Error(codes.ResourceExhausted, "too many calls: wait a second and try again")
	}
	need, known := permissions[call]
	if !known {
		return status.Errorf(codes.PermissionDenied, "call %s has no permission assigned", call)
	}
	if need == (permission{}) {
		return nil
	}
	allowed, err := a.may(ctx, user, need, namespace)
	if err != nil {
		return err
	}
	if !allowed {
		return denied(user, need, namespace)
	}
	return nil
}

func denied(user *User, need permission, namespace string) error {
	resource := need.resource
	if need.subresource != "" {
		resource += "/" + need.subresource
	}
	where := "in namespace " + namespace
	if namespace == "" {
		where = "in any namespace"
	}
	return status.Errorf(codes.PermissionDenied, "user %q may not %s %s.%s %s", user.Name, need.verb, resource, v1alpha1.Group, where)
}

// namespaces are those that a list may show: the one asked for, or of all those given the ones that the user may list.
func (a *authorizer) namespaces(ctx context.Context, call, asked string, all []string) ([]string, error) {
	if asked != "" {
		return []string{asked}, a.require(ctx, call, asked)
	}
	user := UserOf(ctx)
	if user == nil {
		return nil, errNotSignedIn
	}
	if err := a.require(ctx, call, ""); err == nil {
		return all, nil
	} else if status.Code(err) != codes.PermissionDenied {
		return nil, err
	}
	var may []string
	for _, namespace := range all {
		allowed, err := a.may(ctx, user, permissions[call], namespace)
		if err != nil {
			return nil, err
		}
		if allowed {
			may = append(may, namespace)
		}
	}
	if len(may) == 0 {
		return nil, denied(user, permissions[call], "")
	}
	return may, nil
}

func (a *authorizer) may(ctx context.Context, user *User, need permission, namespace string) (bool, error) {
	key := reviewKey{user.Name, strings.Join(user.Groups, "\x00"), namespace, need}
	a.mu.Lock()
	answer, known := a.answers[key]
	a.mu.Unlock()
	if known && a.now().Before(answer.until) {
		return answer.allowed, nil
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for name, value := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(value)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Name, UID: user.UID, Groups: user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: need.verb, Group: v1alpha1.Group,
			Version: v1alpha1.GroupVersion.Version, Resource: need.resource, Subresource: need.subresource},
	}}
	if err := a.client.Create(ctx, review); err != nil {
		return false, status.Error(codes.Unavailable, "cannot check permission: the hub cluster's API did not answer")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.answers) >= reviewsMax {
		clear(a.answers)
	}
	a.answers[key] = reviewAnswer{review.Status.Allowed, a.now().Add(reviewTTL)}
	return review.Status.Allowed, nil
}

func (a *authorizer) limiter(user string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits[user] == nil {
		if len(a.limits) >= reviewsMax {
			clear(a.limits)
		}
		a.limits[user] = rate.NewLimiter(callsPerSecond, callsBurst)
	}
	return a.limits[user]
}
