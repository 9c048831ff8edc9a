package kube

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// PartLabel says what a Secret of the agent is part of: its desired set, content or inventory.
const PartLabel = "fleet.periplus.dev/part"

// Secrets are those of the agent's namespace, where it keeps its state.
type Secrets struct {
	rest      rest.Interface
	namespace string

	mu    sync.Mutex
	known map[string]seen
	// lost is closed once another agent was found to write here, and why says so.
	lost chan struct{}
	why  error
}

// seen is a Secret as it was read or written last, and what was tried to be written since.
type seen struct {
	version     string
	data, tried [sha256.Size]byte
}

// OtherAgentError says that another agent writes the state of this cluster.
type OtherAgentError struct{ Secret string }

func (e *OtherAgentError) Error() string {
	return fmt.Sprintf("another agent wrote Secret %q, which holds this agent's state: two agents must not run in one namespace of a cluster; this one ends, and reads anew when it starts again", e.Secret)
}

// Lost is closed once another agent was found to write here; then Why says so.
func (s *Secrets) Lost() <-chan struct{} { return s.lost }

// Why says what closed Lost.
func (s *Secrets) Why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

func (s *Secrets) lose(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = why
		close(s.lost)
	}
}

func (s *Secrets) learn(secret *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[secret.Name] = seen{version: secret.ResourceVersion, data: sumOf(secret), tried: s.known[secret.Name].tried}
}

func (s *Secrets) trying(secret *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[secret.Name]
	one.tried = sumOf(secret)
	s.known[secret.Name] = one
}

func (s *Secrets) version(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name].version
}

// ours says whether a Secret holds what this agent knows of, or tried to write, and learns its version then.
func (s *Secrets) ours(live *corev1.Secret) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, sum := s.known[live.Name], sumOf(live)
	if sum != one.data && sum != one.tried {
		return false
	}
	one.version, one.data = live.ResourceVersion, sum
	s.known[live.Name] = one
	return true
}

func sumOf(secret *corev1.Secret) [sha256.Size]byte {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		fmt.Fprintf(sum, "%d:%s%d:", len(key), key, len(secret.Data[key]))
		sum.Write(secret.Data[key])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// Secrets of the agent's own namespace, as itself. They travel as protobuf: binary data is not blown up to base64.
func (c *Cluster) Secrets() (*Secrets, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("cannot make client for Secrets: %w", err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config := rest.CopyConfig(c.config)
	config.APIPath = "/api"
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make client for Secrets: %w", err)
	}
	return &Secrets{rest: client, namespace: c.namespace, known: map[string]seen{}, lost: make(chan struct{})}, nil
}

// Get one Secret.
func (s *Secrets) Get(ctx context.Context, name string) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	secret := &corev1.Secret{}
	err := s.rest.Get().Namespace(s.namespace).Resource("secrets").Name(name).Do(ctx).Into(secret)
	if err == nil {
		s.learn(secret)
	}
	return secret, err
}

// Watch one Secret until ctx ends: it is said as it is, then whenever it changes.
func (s *Secrets) Watch(ctx context.Context, name string) (watch.Interface, error) {
	return s.rest.Get().Namespace(s.namespace).Resource("secrets").Param("watch", "true").
		Param("fieldSelector", "metadata.name="+name).Watch(ctx)
}

// Follow says how a Secret is, nil where there is none, and again whenever it changes, until the API server ends the watch.
func (s *Secrets) Follow(ctx context.Context, name string, each func(*corev1.Secret)) error {
	version := ""
	secret, err := s.Get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		each(nil)
	case err != nil:
		return err
	default:
		version = secret.ResourceVersion
		each(secret)
	}
	stream, err := s.Watch(ctx, name)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for {
		select {
		case event, open := <-stream.ResultChan():
			if !open || event.Type == watch.Error {
				return nil
			}
			secret, ok := event.Object.(*corev1.Secret)
			switch {
			case !ok || event.Type == watch.Bookmark || event.Type != watch.Deleted && secret.ResourceVersion == version:
			case event.Type == watch.Deleted:
				each(nil)
			default:
				version = secret.ResourceVersion
				each(secret)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// List the Secrets of one part, with their data.
func (s *Secrets) List(ctx context.Context, part string) ([]corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list := &corev1.SecretList{}
	err := s.rest.Get().Namespace(s.namespace).Resource("secrets").Param("labelSelector", PartLabel+"="+part).Do(ctx).Into(list)
	for i := range list.Items {
		s.learn(&list.Items[i])
	}
	return list.Items, err
}

// ListNames lists the Secrets of one part without their data, which may be large.
func (s *Secrets) ListNames(ctx context.Context, part string) ([]metav1.PartialObjectMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	raw, err := s.rest.Get().Namespace(s.namespace).Resource("secrets").Param("labelSelector", PartLabel+"="+part).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("cannot decode the list of Secrets: %w", err)
	}
	return list.Items, nil
}

// Create makes a Secret; one of the same name that is there already counts as made, as its name says its content.
func (s *Secrets) Create(ctx context.Context, secret *corev1.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.rest.Post().Namespace(s.namespace).Resource("secrets").Param("fieldManager", FieldManager).Body(secret).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Put writes a Secret, which exists as far as the caller knows; if that is wrong it is written all the same. The agent is the
// only writer of its Secrets: one that another agent wrote since this one read or wrote it is an *OtherAgentError.
func (s *Secrets) Put(ctx context.Context, secret *corev1.Secret, exists bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.trying(secret)
	if !exists {
		if err := s.write(ctx, s.rest.Post(), secret); !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for {
		secret.ResourceVersion = s.version(secret.Name)
		err := s.write(ctx, s.rest.Put().Name(secret.Name), secret)
		switch {
		case apierrors.IsNotFound(err):
			secret.ResourceVersion = ""
			return s.write(ctx, s.rest.Post(), secret)
		case !apierrors.IsConflict(err):
			return err
		}
		// It may be what this agent wrote itself, of which the answer was lost, or a change of marks alone.
		live := &corev1.Secret{}
		if err := s.rest.Get().Namespace(s.namespace).Resource("secrets").Name(secret.Name).Do(ctx).Into(live); err != nil {
			return err
		}
		if !s.ours(live) {
			err := &OtherAgentError{Secret: secret.Name}
			s.lose(err)
			return err
		}
	}
}

func (s *Secrets) write(ctx context.Context, request *rest.Request, secret *corev1.Secret) error {
	after := &corev1.Secret{}
	err := request.Namespace(s.namespace).Resource("secrets").Param("fieldManager", FieldManager).Body(secret).Do(ctx).Into(after)
	if err == nil {
		s.learn(after)
	}
	return err
}

// Delete removes a Secret; one that is gone is no error.
func (s *Secrets) Delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.rest.Delete().Namespace(s.namespace).Resource("secrets").Name(name).Do(ctx).Error()
	s.mu.Lock()
	delete(s.known, name)
	s.mu.Unlock()
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Own is the metadata of a Secret that holds the agent's state: it stays out of backups, since a restored copy would
// claim objects of another life of the cluster.
func (s *Secrets) Own(name, part string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.namespace, Labels: map[string]string{
		PartLabel: part, "app.kubernetes.io/managed-by": "periplus-agent", "velero.io/exclude-from-backup": "true",
	}}
}
