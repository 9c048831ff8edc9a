// Package kube is the agent's access to the API server of its own cluster: one connection, over which the agent acts
// either as itself (its own namespace's Secrets, discovery) or as the ServiceAccount that the cluster's owner allows a
// tenant. All other agent packages reach the cluster through it, so that no call falls back to the agent's own rights.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// FieldManager owns what the agent applies.
const FieldManager = "periplus"

// callTimeout bounds every call but a watch.
const callTimeout = 30 * time.Second

// Cluster hands out clients.
type Cluster struct {
	config    *rest.Config
	namespace string

	hears *atomic.Pointer[func(Call)]

	mu      sync.Mutex
	clients map[string]*Client
}

// New makes the access; namespace is the agent's own. No call is made.
func New(config *rest.Config, namespace string) *Cluster {
	config = rest.CopyConfig(config)
	// The server's priority and fairness bounds the rate; a second limit here would only add latency to repairs.
	config.QPS = -1
	config.UserAgent = "periplus-agent"
	// What the server warns of is for those who write manifests; here it would be logged at every apply.
	config.WarningHandler = rest.NoWarnings{}
	hears := &atomic.Pointer[func(Call)]{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return hearing{next, hears} })
	return &Cluster{config: config, namespace: namespace, hears: hears, clients: map[string]*Client{}}
}

// Namespace of the agent.
func (c *Cluster) Namespace() string { return c.namespace }

// Config of the agent's own identity.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// As is a client that acts as a ServiceAccount of the agent's namespace; "" is the agent itself.
func (c *Cluster) As(account string) (*Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client, ok := c.clients[account]; ok {
		return client, nil
	}
	config := dynamic.ConfigFor(c.config)
	if account != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + c.namespace + ":" + account}
	}
	// Clients share one connection: impersonation is a header over the same cached transport.
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make client for ServiceAccount %q: %w", account, err)
	}
	config.GroupVersion = &schema.GroupVersion{}
	client, err := rest.UnversionedRESTClientForConfigAndClient(config, transport)
	if err != nil {
		return nil, fmt.Errorf("cannot make client for ServiceAccount %q: %w", account, err)
	}
	made := &Client{rest: client, dynamic: dynamic.New(client), Account: account}
	c.clients[account] = made
	return made, nil
}

// Resource says how objects of a kind are reached.
type Resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// Served is a resource with what discovery says of it beyond how it is reached.
type Served struct {
	Resource
	Listable bool
}

// Client acts as one identity.
type Client struct {
	rest    rest.Interface
	dynamic dynamic.Interface
	// Account is the ServiceAccount that it acts as; "" is the agent itself.
	Account string
}

func (c *Client) objects(r Resource, namespace string) dynamic.ResourceInterface {
	if r.Namespaced && namespace != "" {
		return c.dynamic.Resource(r.GroupVersionResource).Namespace(namespace)
	}
	return c.dynamic.Resource(r.GroupVersionResource)
}

// Get reads one object.
func (c *Client) Get(ctx context.Context, r Resource, namespace, name string) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.objects(r, namespace).Get(ctx, name, metav1.GetOptions{})
}

// Apply is one server-side apply of an object under FieldManager. It says whether the object was created by it, which
// only the status code tells.
func (c *Client) Apply(ctx context.Context, r Resource, object *unstructured.Unstructured, force bool) (live *unstructured.Unstructured, created bool, err error) {
	return c.applyAs(ctx, r, object, FieldManager, force, false)
}

// DryApply is what Apply with force would leave; nothing is changed.
func (c *Client) DryApply(ctx context.Context, r Resource, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	after, _, err := c.applyAs(ctx, r, object, FieldManager, true, true)
	return after, err
}

// LetGo takes all fields from a manager that applied them: those that nobody else has go. The object has nothing but its
// identity.
func (c *Client) LetGo(ctx context.Context, r Resource, object *unstructured.Unstructured, manager string) error {
	_, _, err := c.applyAs(ctx, r, object, manager, false, false)
	return err
}

type paced struct{}

// Paced has applies that the server has no time for come back at once, for a caller that knows when to try again: otherwise
// each is repeated here as often as the server says that it may.
func Paced(ctx context.Context) context.Context { return context.WithValue(ctx, paced{}, true) }

func (c *Client) applyAs(ctx context.Context, r Resource, object *unstructured.Unstructured, manager string, force, dry bool) (live *unstructured.Unstructured, created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(object.Object)
	if err != nil {
		return nil, false, fmt.Errorf("cannot encode object: %w", err)
	}
	request := c.rest.Patch(types.ApplyPatchType).AbsPath(path(r, object.GetNamespace(), object.GetName())...).
		Param("fieldManager", manager).Param("force", fmt.Sprint(force)).
		SetHeader("Content-Type", string(types.ApplyPatchType)).SetHeader("Accept", "application/json").Body(body)
	if dry {
		request = request.Param("dryRun", metav1.DryRunAll)
	}
	if ctx.Value(paced{}) != nil {
		request = request.MaxRetries(0)
	}
	var code int
	result := request.Do(ctx).StatusCode(&code)
	if err := result.Error(); err != nil {
		return nil, false, err
	}
	raw, err := result.Raw()
	if err != nil {
		return nil, false, err
	}
	live = &unstructured.Unstructured{}
	if err := live.UnmarshalJSON(raw); err != nil {
		return nil, false, fmt.Errorf("cannot decode the applied object: %w", err)
	}
	return live, code == http.StatusCreated, nil
}

// Patch changes an object that exists, under FieldManager.
func (c *Client) Patch(ctx context.Context, r Resource, namespace, name string, kind types.PatchType, patch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.objects(r, namespace).Patch(ctx, name, kind, patch, metav1.PatchOptions{FieldManager: FieldManager})
	return err
}

// Delete removes the object with this very UID; its dependents go in the background.
func (c *Client) Delete(ctx context.Context, r Resource, namespace, name, uid string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	propagation, id := metav1.DeletePropagationBackground, types.UID(uid)
	return c.objects(r, namespace).Delete(ctx, name, metav1.DeleteOptions{
		PropagationPolicy: &propagation, Preconditions: &metav1.Preconditions{UID: &id},
	})
}

// List reads one page.
func (c *Client) List(ctx context.Context, r Resource, namespace string, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.objects(r, namespace).List(ctx, options)
}

// Watch streams changes until ctx ends.
func (c *Client) Watch(ctx context.Context, r Resource, namespace string, options metav1.ListOptions) (watch.Interface, error) {
	return c.objects(r, namespace).Watch(ctx, options)
}

func path(r Resource, namespace, name string) []string {
	segments := []string{"apis", r.Group, r.Version}
	if r.Group == "" {
		segments = []string{"api", r.Version}
	}
	if r.Namespaced && namespace != "" {
		segments = append(segments, "namespaces", namespace)
	}
	return append(segments, r.Resource, name)
}
