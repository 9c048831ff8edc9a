package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/policies/engine"
)

const (
	// answerWithin is how long an API server waits.
	answerWithin = 5
	// settle lets several changes come before the registration is written.
	settle       = 200 * time.Millisecond
	firstAgain   = 2 * time.Second
	lastAgain    = time.Minute
	removeWithin = 5 * time.Second
	// searchAgain is how soon a kind is looked for again that policies name and that is not served yet.
	searchAgain = 30 * time.Second
)

var (
	webhooks     = kube.Resource{GroupVersionResource: admissionregistrationv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations"), Kind: "ValidatingWebhookConfiguration"}
	clusterRoles = kube.Resource{GroupVersionResource: schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}, Kind: "ClusterRole"}
)

// Finder finds the resource of a kind; kube.Mapper is one.
type Finder interface {
	Prefer(ctx context.Context, group, kind string) (kube.Resource, error)
}

// Registration keeps the ValidatingWebhookConfiguration as policies, authorities and what is served say.
type Registration struct {
	Client *kube.Client
	Finder Finder
	// Name of the ValidatingWebhookConfiguration.
	Name string
	// Owner is a ClusterRole: what goes with it goes when it is removed, so that an uninstalled agent leaves no webhook behind.
	Owner string
	// Namespace of the agent, in which nothing is judged; and Excluded ones.
	Namespace string
	Excluded  []string
	// Service and Port that API servers reach the webhook by; or the URL, without path.
	Service string
	Port    int32
	URL     string
	// Stays says that others answer when this process ends.
	Stays bool
	Log   *slog.Logger

	once        sync.Once
	poke        chan struct{}
	mu          sync.Mutex
	snapshot    *engine.Snapshot
	authorities []byte
}

func (r *Registration) wake() chan struct{} {
	r.once.Do(func() { r.poke = make(chan struct{}, 1) })
	return r.poke
}

// Use registers for the policies of a snapshot; nil takes the registration away.
func (r *Registration) Use(snapshot *engine.Snapshot) {
	r.mu.Lock()
	r.snapshot = snapshot
	r.mu.Unlock()
	r.Changed()
}

// Trust says which authorities, PEM, API servers shall know the webhook by.
func (r *Registration) Trust(authorities []byte) {
	r.mu.Lock()
	r.authorities = authorities
	r.mu.Unlock()
	r.Changed()
}

// Changed says that something may be served now that was not.
func (r *Registration) Changed() {
	select {
	case r.wake() <- struct{}{}:
	default:
	}
}

// Run keeps the registration until ctx ends, and then takes it away: nobody would answer.
func (r *Registration) Run(ctx context.Context) error {
	again := time.Duration(0)
	wait := firstAgain
	for {
		var timer <-chan time.Time
		if again > 0 {
			timer = time.After(again)
		}
		select {
		case <-ctx.Done():
			r.end(ctx)
			return nil
		case <-r.wake():
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				continue
			}
		case <-timer:
		}
		missing, err := r.register(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			r.Log.Warn("cannot register policies for admission", "error", err, "retry", wait.String())
			again, wait = wait, min(2*wait, lastAgain)
		case len(missing) > 0:
			again, wait = searchAgain, firstAgain
		default:
			again, wait = 0, firstAgain
		}
	}
}

func (r *Registration) end(ctx context.Context) {
	if r.Stays {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
	defer cancel()
	if err := r.remove(ctx); err != nil {
		r.Log.Warn("cannot take the registration for admission away: requests go unjudged or are refused until an agent runs again", "error", err)
	}
}

func (r *Registration) remove(ctx context.Context) error {
	live, err := r.Client.Get(ctx, webhooks, "", r.Name)
	if err == nil {
		err = r.Client.Delete(ctx, webhooks, "", r.Name, string(live.GetUID()))
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// register writes what is so now, and says which kinds are not served.
func (r *Registration) register(ctx context.Context) (missing []string, err error) {
	r.mu.Lock()
	snapshot, authorities := r.snapshot, r.authorities
	r.mu.Unlock()
	if authorities == nil {
		return nil, nil
	}
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: webhooks.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: r.Name, Labels: map[string]string{"app.kubernetes.io/managed-by": "periplus-agent"}}}
	for _, failure := range []string{engine.FailurePolicyFail, engine.FailurePolicyIgnore} {
		rules, absent, err := r.rules(ctx, snapshot, failure)
		if err != nil {
			return nil, err
		}
		missing = append(missing, absent...)
		if len(rules) > 0 {
			config.Webhooks = append(config.Webhooks, r.webhook(failure, rules, authorities))
		}
	}
	if len(config.Webhooks) == 0 {
		return missing, r.remove(ctx)
	}
	if r.Owner != "" {
		owner, err := r.Client.Get(ctx, clusterRoles, "", r.Owner)
		if err != nil {
			return nil, fmt.Errorf("cannot read ClusterRole %q: %w", r.Owner, err)
		}
		config.OwnerReferences = []metav1.OwnerReference{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: clusterRoles.Kind, Name: r.Owner, UID: owner.GetUID()}}
	}
	object, err := toUnstructured(config)
	if err != nil {
		return nil, err
	}
	_, _, err = r.Client.Apply(ctx, webhooks, object, true)
	return missing, err
}

func toUnstructured(config *admissionregistrationv1.ValidatingWebhookConfiguration) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(object.Object, "metadata", "creationTimestamp")
	return object, nil
}

func (r *Registration) webhook(failure string, rules []admissionregistrationv1.RuleWithOperations, authorities []byte) admissionregistrationv1.ValidatingWebhook {
	how, effects, timeout, match := admissionregistrationv1.FailurePolicyType(failure), admissionregistrationv1.SideEffectClassNone, int32(answerWithin), admissionregistrationv1.Equivalent
	path := pathPrefix + strings.ToLower(failure)
	hook := admissionregistrationv1.ValidatingWebhook{
		Name: strings.ToLower(failure) + ".policies.periplus.dev", FailurePolicy: &how, SideEffects: &effects, TimeoutSeconds: &timeout, MatchPolicy: &match,
		AdmissionReviewVersions: []string{"v1"}, Rules: rules, ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: authorities},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name",
			Operator: metav1.LabelSelectorOpNotIn, Values: append([]string{r.Namespace}, r.Excluded...)}}},
		MatchConditions: []admissionregistrationv1.MatchCondition{
			{Name: "never-nodes-leases-and-reviews", Expression: neverExpression},
			{Name: "not-on-its-way-out", Expression: `!(request.operation == "UPDATE" && has(object.metadata.deletionTimestamp))`},
		}}
	if r.URL != "" {
		url := strings.TrimSuffix(r.URL, "/") + path
		hook.ClientConfig.URL = &url
	} else {
		hook.ClientConfig.Service = &admissionregistrationv1.ServiceReference{Namespace: r.Namespace, Name: r.Service, Path: &path, Port: &r.Port}
	}
	return hook
}

// neverExpression is what never says, in CEL, so that wide rules cost such requests nothing.
const neverExpression = `!(request.kind.group in ["certificates.k8s.io", "coordination.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "events.k8s.io", "metrics.k8s.io"]) && ` +
	`!(request.kind.group == "" && request.kind.kind in ["Node", "Event", "Binding"])`

// rules for the kinds that policies with a failure policy name; absent are those that the cluster does not serve.
func (r *Registration) rules(ctx context.Context, snapshot *engine.Snapshot, failure string) (rules []admissionregistrationv1.RuleWithOperations, absent []string, err error) {
	kinds, all := kindsOf(snapshot, failure)
	if all {
		return []admissionregistrationv1.RuleWithOperations{rule("*", "*")}, nil, nil
	}
	byGroup := map[string][]string{}
	for _, kind := range kinds {
		if never(kind.Group, kind.Kind) {
			continue
		}
		if kind.Kind == "*" {
			byGroup[kind.Group] = append(byGroup[kind.Group], "*")
			continue
		}
		resource, err := r.Finder.Prefer(ctx, kind.Group, kind.Kind)
		if errors.Is(err, kube.ErrNotServed) {
			absent = append(absent, kind.String())
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		byGroup[kind.Group] = append(byGroup[kind.Group], resource.Resource)
		if kind.Group == "" && kind.Kind == "Pod" {
			// A container that is added to a running pod is a container too.
			byGroup[kind.Group] = append(byGroup[kind.Group], "pods/ephemeralcontainers")
		}
	}
	groups := make([]string, 0, len(byGroup))
	for group := range byGroup {
		groups = append(groups, group)
	}
	slices.Sort(groups)
	for _, group := range groups {
		resources := byGroup[group]
		slices.Sort(resources)
		if slices.Contains(resources, "*") {
			resources = []string{"*"}
		}
		rules = append(rules, rule(group, slices.Compact(resources)...))
	}
	return rules, absent, nil
}

func rule(group string, resources ...string) admissionregistrationv1.RuleWithOperations {
	scope := admissionregistrationv1.AllScopes
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources, Scope: &scope}}
}

// kindsOf the policies that have a say at admission, with a failure policy.
func kindsOf(snapshot *engine.Snapshot, failure string) (kinds []schema.GroupKind, all bool) {
	return snapshot.KindsOf(func(p *engine.Policy) bool {
		return p.Metadata.FailurePolicy == failure && slices.Contains(p.Metadata.Points, engine.PointAdmission)
	})
}
