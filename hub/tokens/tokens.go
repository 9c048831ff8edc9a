// Package tokens makes and ends join tokens. A token's object in the hub's Kubernetes API is the intent; the store's row is
// what the issuer of certificates counts uses in. The token itself is shown once to whoever asked for it.
package tokens

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/store"
)

const (
	prefix = "pj1."
	size   = 32
	// bootstrapLife is how long a provisioned cluster's agent has to join after its chart was installed.
	bootstrapLife = time.Hour
	// keepEnded is how long an ended token's object stays to be looked at.
	keepEnded = 24 * time.Hour
)

// Store is what the tokens need of the store.
type Store interface {
	PutToken(ctx context.Context, token store.Token) error
	RevokeToken(ctx context.Context, hash string) error
	Tokens(ctx context.Context, namespace string) ([]store.Token, error)
}

// Service makes tokens, and keeps the store's rows as the JoinToken objects say.
type Service struct {
	Client client.Client
	Store  Store
	Now    func() time.Time
}

func generate() string {
	raw := make([]byte, size)
	rand.Read(raw)
	return prefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}

// Create makes a token that lets one agent join as the cluster. rejoin allows it although the cluster has a living identity.
func (s Service) Create(ctx context.Context, namespace, cluster string, life time.Duration, rejoin bool) (name, token string, expires time.Time, err error) {
	var object v1alpha1.FleetCluster
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: cluster}, &object); err != nil {
		return "", "", time.Time{}, fmt.Errorf("cannot make a join token for cluster %q: %w", cluster, err)
	}
	token = generate()
	expires = s.Now().Add(life).Truncate(time.Second)
	hash := identity.HashToken(token)
	intent := &v1alpha1.JoinToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cluster + "-" + hash[:8], OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "FleetCluster", Name: object.Name, UID: object.UID}}},
		Spec: v1alpha1.JoinTokenSpec{Cluster: cluster, Hash: hash, Expires: metav1.NewTime(expires), Uses: 1, Rejoin: rejoin},
	}
	if err := s.Client.Create(ctx, intent); err != nil {
		return "", "", time.Time{}, fmt.Errorf("cannot make a join token for cluster %q: %w", cluster, err)
	}
	return intent.Name, token, expires, s.Store.PutToken(ctx, row(intent, &object))
}

// Issue makes the token that a provisioned cluster's agent joins with.
func (s Service) Issue(ctx context.Context, cluster *v1alpha1.FleetCluster) (string, error) {
	_, token, _, err := s.Create(ctx, cluster.Namespace, cluster.Name, bootstrapLife, true)
	return token, err
}

// Revoke ends a token.
func (s Service) Revoke(ctx context.Context, namespace, name string) error {
	var object v1alpha1.JoinToken
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &object); err != nil {
		return fmt.Errorf("cannot revoke join token %q: %w", name, err)
	}
	if err := s.Store.RevokeToken(ctx, object.Spec.Hash); err != nil {
		return err
	}
	if err := s.Client.Delete(ctx, &object); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cannot revoke join token %q: %w", name, err)
	}
	return nil
}

// Reconcile brings one JoinToken object into the store, and its uses back into its status. A token whose object is gone ends.
func (s Service) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var object v1alpha1.JoinToken
	err := s.Client.Get(ctx, request.NamespacedName, &object)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, s.revokeWithoutObject(ctx, request.Namespace)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if s.Now().After(object.Spec.Expires.Add(keepEnded)) {
		return reconcile.Result{}, client.IgnoreNotFound(s.Client.Delete(ctx, &object))
	}
	var cluster v1alpha1.FleetCluster
	err = s.Client.Get(ctx, client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.Cluster}, &cluster)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	if err == nil && s.Now().Before(object.Spec.Expires.Time) {
		if err := s.Store.PutToken(ctx, row(&object, &cluster)); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: time.Minute}, s.writeStatus(ctx, &object, err == nil)
}

func (s Service) writeStatus(ctx context.Context, object *v1alpha1.JoinToken, bound bool) error {
	tokens, err := s.Store.Tokens(ctx, object.Namespace)
	if err != nil {
		return err
	}
	before := object.DeepCopy()
	for _, token := range tokens {
		if token.Hash == object.Spec.Hash {
			object.Status.Uses = int32(token.Used)
		}
	}
	meta.SetStatusCondition(&object.Status.Conditions, condition(object, bound, s.Now()))
	return client.IgnoreNotFound(s.Client.Status().Patch(ctx, object, client.MergeFrom(before)))
}

func condition(object *v1alpha1.JoinToken, bound bool, now time.Time) metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Usable",
		Message: "an agent may join with this token", ObservedGeneration: object.Generation}
	switch {
	case !bound:
		ready.Status, ready.Reason = metav1.ConditionFalse, "ClusterNotFound"
		ready.Message = fmt.Sprintf("no FleetCluster %q in this namespace", object.Spec.Cluster)
	case now.After(object.Spec.Expires.Time):
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Expired", "the token's time is over"
	case object.Status.Uses >= object.Spec.Uses:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "UsedUp", "the token was used as often as it may be"
	}
	return ready
}

func (s Service) revokeWithoutObject(ctx context.Context, namespace string) error {
	tokens, err := s.Store.Tokens(ctx, namespace)
	if err != nil {
		return err
	}
	var objects v1alpha1.JoinTokenList
	if err := s.Client.List(ctx, &objects, client.InNamespace(namespace)); err != nil {
		return err
	}
	alive := map[string]bool{}
	for i := range objects.Items {
		alive[objects.Items[i].Spec.Hash] = true
	}
	for _, token := range tokens {
		if !alive[token.Hash] {
			if err := s.Store.RevokeToken(ctx, token.Hash); err != nil {
				return err
			}
		}
	}
	return nil
}

func row(object *v1alpha1.JoinToken, cluster *v1alpha1.FleetCluster) store.Token {
	return store.Token{Hash: object.Spec.Hash, Namespace: object.Namespace, Cluster: object.Spec.Cluster, ClusterUID: string(cluster.UID),
		Expires: object.Spec.Expires.Time, Uses: int(object.Spec.Uses), Rejoin: object.Spec.Rejoin}
}
