package kube

import (
	"context"
	"encoding/json"
	"fmt"

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
	return &Secrets{rest: client, namespace: c.namespace}, nil
}

// Get one Secret.
func (s *Secrets) Get(ctx context.Context, name string) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	secret := &corev1.Secret{}
	err := s.rest.Get().Namespace(s.namespace).Resource("secrets").Name(name).Do(ctx).Into(secret)
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

// Put writes a Secret, which exists as far as the caller knows; if that is wrong it is written all the same. The agent
// is the only writer of its Secrets, so the last word counts.
func (s *Secrets) Put(ctx context.Context, secret *corev1.Secret, exists bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	create := func() error {
		return s.rest.Post().Namespace(s.namespace).Resource("secrets").Param("fieldManager", FieldManager).Body(secret).Do(ctx).Error()
	}
	update := func() error {
		return s.rest.Put().Namespace(s.namespace).Resource("secrets").Name(secret.Name).Param("fieldManager", FieldManager).Body(secret).Do(ctx).Error()
	}
	if exists {
		if err := update(); !apierrors.IsNotFound(err) {
			return err
		}
		return create()
	}
	if err := create(); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return update()
}

// Delete removes a Secret; one that is gone is no error.
func (s *Secrets) Delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.rest.Delete().Namespace(s.namespace).Resource("secrets").Name(name).Do(ctx).Error()
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
