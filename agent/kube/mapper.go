package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ErrNotServed says that the cluster does not serve a kind, or not yet.
var ErrNotServed = errors.New("is not served by this cluster")

// Mapper finds the resource of a kind. It asks for one group and version at a time, and only those that content names:
// whole discovery of a cluster with many CRDs would cost more memory than all else.
type Mapper struct {
	client *Client

	mu     sync.Mutex
	groups map[schema.GroupVersion]listed
}

type listed struct {
	at    time.Time
	kinds map[string]Served
}

// missAge is how long "not served" is believed.
const missAge = time.Second

// NewMapper asks through client, which needs no rights beyond discovery.
func NewMapper(client *Client) *Mapper {
	return &Mapper{client: client, groups: map[schema.GroupVersion]listed{}}
}

// Find is the resource of a kind; ErrNotServed when there is none. A kind that is not known is asked for again, as its
// CRD may have come since.
func (m *Mapper) Find(ctx context.Context, kind schema.GroupVersionKind) (Resource, error) {
	m.mu.Lock()
	known, ok := m.groups[kind.GroupVersion()]
	m.mu.Unlock()
	resource, found := known.kinds[kind.Kind]
	if found {
		return resource.Resource, nil
	}
	if !ok || time.Since(known.at) > missAge {
		kinds, err := m.fetch(ctx, kind.GroupVersion())
		if err != nil {
			return Resource{}, fmt.Errorf("cannot discover %s: %w", kind.GroupVersion(), err)
		}
		m.mu.Lock()
		m.groups[kind.GroupVersion()] = listed{at: time.Now(), kinds: kinds}
		m.mu.Unlock()
		if resource, found = kinds[kind.Kind]; found {
			return resource.Resource, nil
		}
	}
	return Resource{}, fmt.Errorf("%s %s %w", kind.GroupVersion(), kind.Kind, ErrNotServed)
}

// Prefer is the resource of a kind in the version that the cluster prefers, or in another one that it serves; ErrNotServed
// when there is none.
func (m *Mapper) Prefer(ctx context.Context, group, kind string) (Resource, error) {
	if group == "" {
		return m.Find(ctx, schema.GroupVersionKind{Version: "v1", Kind: kind})
	}
	var served metav1.APIGroup
	err := m.client.discover(ctx, "/apis/"+group, &served)
	if apierrors.IsNotFound(err) {
		return Resource{}, fmt.Errorf("%s %s %w", group, kind, ErrNotServed)
	}
	if err != nil {
		return Resource{}, fmt.Errorf("cannot discover %s: %w", group, err)
	}
	versions := append([]metav1.GroupVersionForDiscovery{served.PreferredVersion}, served.Versions...)
	for _, version := range versions {
		resource, err := m.Find(ctx, schema.GroupVersionKind{Group: group, Version: version.Version, Kind: kind})
		if !errors.Is(err, ErrNotServed) {
			return resource, err
		}
	}
	return Resource{}, fmt.Errorf("%s %s %w", group, kind, ErrNotServed)
}

// Forget drops what is known of a group, as its CRD changed or went.
func (m *Mapper) Forget(group string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for version := range m.groups {
		if version.Group == group {
			delete(m.groups, version)
		}
	}
}

func (m *Mapper) fetch(ctx context.Context, version schema.GroupVersion) (map[string]Served, error) {
	var list metav1.APIResourceList
	root := "/apis/" + version.String()
	if version.Group == "" {
		root = "/api/" + version.Version
	}
	err := m.client.discover(ctx, root, &list)
	if apierrors.IsNotFound(err) {
		return map[string]Served{}, nil
	}
	if err != nil {
		return nil, err
	}
	kinds := make(map[string]Served, len(list.APIResources))
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			kinds[r.Kind] = Served{Listable: slices.Contains(r.Verbs, "list"),
				Resource: Resource{GroupVersionResource: version.WithResource(r.Name), Kind: r.Kind, Namespaced: r.Namespaced}}
		}
	}
	return kinds, nil
}

// Served is everything that the cluster serves, in each group's preferred version first: for facts, and for what must
// look at everything in a namespace.
func (m *Mapper) Served(ctx context.Context) ([]Served, error) {
	var core metav1.APIVersions
	if err := m.client.discover(ctx, "/api", &core); err != nil {
		return nil, fmt.Errorf("cannot discover what is served: %w", err)
	}
	var groups metav1.APIGroupList
	if err := m.client.discover(ctx, "/apis", &groups); err != nil {
		return nil, fmt.Errorf("cannot discover what is served: %w", err)
	}
	var versions []schema.GroupVersion
	for _, version := range core.Versions {
		versions = append(versions, schema.GroupVersion{Version: version})
	}
	for _, group := range groups.Groups {
		slices.SortStableFunc(group.Versions, func(a, b metav1.GroupVersionForDiscovery) int {
			return boolOrder(a.Version == group.PreferredVersion.Version, b.Version == group.PreferredVersion.Version)
		})
		for _, version := range group.Versions {
			versions = append(versions, schema.GroupVersion{Group: group.Name, Version: version.Version})
		}
	}
	var all []Served
	for _, version := range versions {
		kinds, err := m.fetch(ctx, version)
		if apierrors.IsServiceUnavailable(err) {
			// An aggregated API whose server is away; what is served by others counts.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot discover %s: %w", version, err)
		}
		for _, resource := range kinds {
			all = append(all, resource)
		}
	}
	return all, nil
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

func (c *Client) discover(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	raw, err := c.rest.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// Version of the API server, such as v1.36.4.
func (c *Client) Version(ctx context.Context) (string, error) {
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := c.discover(ctx, "/version", &version); err != nil {
		return "", fmt.Errorf("cannot read the cluster's version: %w", err)
	}
	return version.GitVersion, nil
}
