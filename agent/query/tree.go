package query

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	// maxNodes bounds a tree, maxDepth how deep it goes, maxListed the objects of one kind and namespace that are looked through.
	maxNodes  = 2000
	maxDepth  = 6
	maxListed = 5000
	pageSize  = 250
	// partNodes is how many nodes travel together.
	partNodes = 200
)

type groupKind struct{ group, kind string }

// ownedKinds are what objects of a kind own, as far as it is worth seeing: what leads to pods, and what serves or stores.
var ownedKinds = map[groupKind][]groupKind{
	{"apps", "Deployment"}:        {{"apps", "ReplicaSet"}},
	{"apps", "ReplicaSet"}:        {{"", "Pod"}},
	{"apps", "StatefulSet"}:       {{"", "Pod"}},
	{"apps", "DaemonSet"}:         {{"", "Pod"}},
	{"", "ReplicationController"}: {{"", "Pod"}},
	{"batch", "CronJob"}:          {{"batch", "Job"}},
	{"batch", "Job"}:              {{"", "Pod"}},
}

// customKinds are what custom resources own: their operators make workloads of them.
var customKinds = []groupKind{{"apps", "Deployment"}, {"apps", "StatefulSet"}, {"apps", "DaemonSet"}, {"apps", "ReplicaSet"},
	{"batch", "CronJob"}, {"batch", "Job"}, {"", "Pod"}, {"", "Service"}, {"", "PersistentVolumeClaim"}, {"networking.k8s.io", "Ingress"}}

// kindsBelow says what an object of a kind may own. Kubernetes' own kinds that stand in no table own nothing worth seeing.
func kindsBelow(group, kind string) []groupKind {
	if below, ok := ownedKinds[groupKind{group, kind}]; ok {
		return below
	}
	if strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io") {
		return customKinds
	}
	return nil
}

// node is an object of a tree.
type node struct {
	target *target
	live   *unstructured.Unstructured
	depth  int
	parent string
	// problem says why the object could not be read.
	problem string
}

// family walks from objects to what they own, listing each kind of a namespace once.
type family struct {
	scope *scope
	lists map[listKey][]*unstructured.Unstructured
	nodes int
	// truncated is true once something was left out.
	truncated bool
}

type listKey struct {
	kind      groupKind
	namespace string
}

func (s *scope) family() *family {
	return &family{scope: s, lists: map[listKey][]*unstructured.Unstructured{}}
}

// walk visits the objects of the query and what they own, in preorder.
func (f *family) walk(ctx context.Context, visit func(node) error) error {
	for _, t := range f.scope.chosen() {
		if t.item != nil && t.item.Hook != nil && f.scope.asked == nil && !t.recorded {
			continue
		}
		n := node{target: t}
		var err error
		n.live, err = f.scope.live(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			n.problem = err.Error()
		}
		if err := f.descend(ctx, n, visit); err != nil {
			return err
		}
	}
	return nil
}

func (f *family) descend(ctx context.Context, n node, visit func(node) error) error {
	if f.nodes++; f.nodes > maxNodes || n.depth > maxDepth {
		f.truncated = true
		return nil
	}
	if err := visit(n); err != nil || n.live == nil {
		return err
	}
	gvk := n.live.GroupVersionKind()
	for _, below := range kindsBelow(gvk.Group, gvk.Kind) {
		children, err := f.list(ctx, below, n.live.GetNamespace())
		if err != nil {
			return err
		}
		for _, child := range children {
			if !slices.ContainsFunc(child.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.UID == n.live.GetUID() }) {
				continue
			}
			id := content.ObjectID{Group: below.group, Kind: below.kind, Namespace: child.GetNamespace(), Name: child.GetName()}
			next := node{target: &target{id: id, uid: string(child.GetUID())}, live: child, depth: n.depth + 1, parent: string(n.live.GetUID())}
			if err := f.descend(ctx, next, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// list reads all objects of a kind in a namespace, once a query. A kind that the tenant may not list, or that is not there,
// has none.
func (f *family) list(ctx context.Context, kind groupKind, namespace string) ([]*unstructured.Unstructured, error) {
	key := listKey{kind, namespace}
	if found, ok := f.lists[key]; ok {
		return found, nil
	}
	var all []*unstructured.Unstructured
	resource, err := f.scope.mapper.Prefer(ctx, kind.group, kind.kind)
	options := metav1.ListOptions{Limit: pageSize}
	for err == nil {
		var page *unstructured.UnstructuredList
		if page, err = f.scope.client.List(ctx, resource, namespace, options); err != nil {
			break
		}
		for i := range page.Items {
			all = append(all, &page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			break
		}
		if len(all) >= maxListed {
			f.truncated = true
			break
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, err
	}
	f.truncated = f.truncated || apierrors.IsForbidden(err)
	f.lists[key] = all
	return all, nil
}

// tree gives the objects with what they own.
func (s *scope) tree(ctx context.Context, send func(*linkv1.QueryResult) error) error {
	f, part := s.family(), &linkv1.QueryResult{}
	err := f.walk(ctx, func(n node) error {
		part.Nodes = append(part.Nodes, wireNode(n))
		if len(part.Nodes) < partNodes {
			return nil
		}
		full := part
		part = &linkv1.QueryResult{}
		return send(full)
	})
	if err != nil {
		return err
	}
	part.Truncated = f.truncated
	return send(part)
}

func wireNode(n node) *linkv1.TreeNode {
	out := &linkv1.TreeNode{Id: wireID(n.target.id), Parent: n.parent, Health: "unknown", Message: n.problem}
	switch {
	case n.problem != "":
	case n.live == nil:
		out.Health, out.Message = "missing", "it is not there"
	default:
		out.Uid, out.Created = string(n.live.GetUID()), timestamppb.New(n.live.GetCreationTimestamp().Time)
		out.Health, out.Message = healthOf(n.live)
	}
	return out
}

func healthOf(live *unstructured.Unstructured) (word, message string) {
	health, message := observe.HealthOf(live)
	switch health {
	case observe.Ready:
		return "ready", ""
	case observe.Failed:
		return "failed", message
	default:
		return "progressing", message
	}
}
