// Package apply brings what a snapshot declares for the hub itself to the hub's API: FleetClusters, Cluster API classes and
// templates. It acts as the FleetRepo's ServiceAccount with one field manager per repo, never over another owner, and
// removes only what this repo brought and a readable commit positively no longer declares.
package apply

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/admission"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

// AnnotationDeclaration holds the digest of what was declared, so that the commit beside it is the one that changed it.
const AnnotationDeclaration = v1alpha1.Group + "/declaration"

// Applier writes to the hub's API.
type Applier struct {
	cfg *rest.Config

	mu      sync.Mutex
	clients map[string]client.Client
}

// New makes an applier from the hub's own configuration, whose identity must be allowed to impersonate the ServiceAccounts
// of FleetRepos.
func New(cfg *rest.Config) *Applier {
	return &Applier{cfg: cfg, clients: map[string]client.Client{}}
}

// Input of one application.
type Input struct {
	// Repo is the FleetRepo; everything goes into its namespace.
	Repo client.ObjectKey
	// ServiceAccount of the FleetRepo's namespace that acts.
	ServiceAccount string
	Snapshot       *fleet.Snapshot
	// Judge says why policy denies a declaration, "" when it does not. A denied one is not applied, and not removed either.
	// Nil lets all pass.
	Judge func(ctx context.Context, object *unstructured.Unstructured, at fleet.Position) (string, error)
}

// Result of one application.
type Result struct {
	// Refused by the API server or by a rule of this package; a person must act, or a later application will do.
	Refused []v1alpha1.Refusal
	// Removed counts the objects whose removal began.
	Removed int
}

// Apply brings the hub's API to the snapshot. An error means that the API server could not be asked: try again. Refusals may
// pass by themselves too (a class in use until its clusters are gone), so callers apply again from time to time.
func (a *Applier) Apply(ctx context.Context, in Input) (Result, error) {
	acting, err := a.client(in)
	if err != nil {
		return Result{}, err
	}
	var result Result
	declared := declarations(in)
	for _, one := range declared {
		refused, err := judgeOne(ctx, in, one)
		if refused == nil && err == nil {
			refused, err = applyOne(ctx, acting, in, one)
		}
		if err != nil {
			return result, err
		}
		if refused != nil {
			result.Refused = append(result.Refused, *refused)
		}
	}
	return result, a.remove(ctx, acting, in, declared, &result)
}

// client acts as the FleetRepo's ServiceAccount.
func (a *Applier) client(in Input) (client.Client, error) {
	user := fmt.Sprintf("system:serviceaccount:%s:%s", in.Repo.Namespace, in.ServiceAccount)
	a.mu.Lock()
	defer a.mu.Unlock()
	if existing, ok := a.clients[user]; ok {
		return existing, nil
	}
	cfg := rest.CopyConfig(a.cfg)
	// The API server adds a ServiceAccount's groups by itself; naming them would need the right to impersonate groups.
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	made, err := client.New(cfg, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("cannot act as %q: %w", user, err)
	}
	a.clients[user] = made
	return made, nil
}

// declaration is one object to apply.
type declaration struct {
	fleet.Position
	object *unstructured.Unstructured
}

// declarations in the order of their needs: templates, then classes, then clusters.
func declarations(in Input) []declaration {
	var out []declaration
	for _, resource := range in.Snapshot.Resources {
		out = append(out, declaration{resource.Position, resource.Object})
	}
	slices.SortStableFunc(out, func(a, b declaration) int {
		return rank(a.object.GroupVersionKind()) - rank(b.object.GroupVersionKind())
	})
	for _, cluster := range in.Snapshot.Clusters {
		out = append(out, declaration{cluster.Position, cluster.Object})
	}
	return out
}

func rank(gvk schema.GroupVersionKind) int {
	switch gvk.Kind {
	case "FleetCluster":
		return 2
	case "ClusterClass":
		return 1
	default:
		return 0
	}
}

// Desired is the object as it is applied: namespace forced, with the repo's label and where it was declared. live is what
// the API server has; nil where it has nothing.
func Desired(in Input, one *unstructured.Unstructured, file string, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	object := one.DeepCopy()
	object.SetNamespace(in.Repo.Namespace)
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.LabelRepo] = labelValue(in.Repo.Name)
	object.SetLabels(labels)
	if object.GetKind() == "FleetCluster" {
		admission.Stamp(object, in.ServiceAccount)
	}
	data, err := content.CanonicalJSON(object.Object)
	if err != nil {
		return nil, err
	}
	digest, commit := string(content.Sum(data)), in.Snapshot.Commit
	if live != nil && live.GetAnnotations()[AnnotationDeclaration] == digest && live.GetAnnotations()[v1alpha1.AnnotationCommit] != "" {
		commit = live.GetAnnotations()[v1alpha1.AnnotationCommit]
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationSource] = file
	annotations[v1alpha1.AnnotationCommit] = commit
	annotations[AnnotationDeclaration] = digest
	object.SetAnnotations(annotations)
	return object, nil
}

// judgeOne refuses what policy denies.
func judgeOne(ctx context.Context, in Input, one declaration) (*v1alpha1.Refusal, error) {
	if in.Judge == nil {
		return nil, nil
	}
	reason, err := in.Judge(ctx, one.object, one.Position)
	if err != nil || reason == "" {
		return nil, err
	}
	return refuse(one, "%s", reason), nil
}

func applyOne(ctx context.Context, acting client.Client, in Input, one declaration) (*v1alpha1.Refusal, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(one.object.GroupVersionKind())
	err := acting.Get(ctx, client.ObjectKey{Namespace: in.Repo.Namespace, Name: one.object.GetName()}, live)
	switch {
	case apierrors.IsNotFound(err):
		live = nil
	case err != nil:
		return judge(one, "read", err)
	default:
		if why := foreign(in, live); why != "" {
			return refuse(one, "%s", why), nil
		}
	}
	object, err := Desired(in, one.object, one.File, live)
	if err != nil {
		return refuse(one, "%v", err), nil
	}
	err = acting.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(FieldManager(in.Repo)), client.ForceOwnership)
	return judge(one, "apply", err)
}

// foreign says why an object is not this repo's to change; "" when it is.
func foreign(in Input, live *unstructured.Unstructured) string {
	owner, labelled := live.GetLabels()[v1alpha1.LabelRepo]
	switch {
	case live.GetDeletionTimestamp() != nil:
		return "it is being removed, and is made anew once it is gone"
	case !labelled:
		return fmt.Sprintf("it exists and no fleet repo declared it: remove it, or hand it over with the label %s=%s", v1alpha1.LabelRepo, labelValue(in.Repo.Name))
	case owner != labelValue(in.Repo.Name):
		return fmt.Sprintf("it belongs to FleetRepo %q", owner)
	default:
		return ""
	}
}

// judge tells a user's mistake, which is a refusal, from an API server that cannot answer.
func judge(one declaration, verb string, err error) (*v1alpha1.Refusal, error) {
	switch {
	case err == nil:
		return nil, nil
	case meta.IsNoMatchError(err), discovery.IsGroupDiscoveryFailedError(err):
		return refuse(one, "the hub does not know this kind; is its provider installed? (%v)", err), nil
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err), apierrors.IsConflict(err),
		apierrors.IsMethodNotSupported(err), apierrors.IsNotFound(err), apierrors.IsRequestEntityTooLargeError(err):
		return refuse(one, "the API server refuses to %s it: %v", verb, err), nil
	default:
		return nil, fmt.Errorf("cannot %s %s %q: %w", verb, one.object.GetKind(), one.object.GetName(), err)
	}
}

func refuse(one declaration, format string, args ...any) *v1alpha1.Refusal {
	return &v1alpha1.Refusal{File: one.File, Line: int32(one.Line), Message: //nolint:gosec // files are at most 10 MiB
	one.object.GetKind() + " " + one.object.GetName() + ": " + fmt.Sprintf(format, args...)}
}

// FieldManager of a FleetRepo.
func FieldManager(repo client.ObjectKey) string {
	return clip("periplus-repo-"+repo.Namespace+"-"+repo.Name, 128)
}

// labelValue of a FleetRepo: its namespace is the object's own.
func labelValue(name string) string { return clip(name, 63) }

// clip keeps a name unique where it is too long.
func clip(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	digest := string(content.Sum([]byte(name)))
	return name[:limit-13] + "-" + digest[len(digest)-12:]
}
