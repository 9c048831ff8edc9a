package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
)

// valuesSource gives what valuesFrom and secretRef name in the hub's API.
type valuesSource interface {
	target.ExternalValues
	// Digest is equal where the content of all references is.
	Digest(namespace string, references []v1alpha1.ValuesReference) string
	Secret(ctx context.Context, namespace, name string) (map[string][]byte, error)
}

const (
	// firstLook is how long a plan waits for the first look at an object that was not watched before.
	firstLook = 3 * time.Second
	// readAgain is how often an object is read that the hub may read but not watch.
	readAgain = 15 * time.Second
)

// objectKey names a watched object.
type objectKey struct{ kind, namespace, name string }

// valuesWatch watches the ConfigMaps and Secrets that bundles name, each by its name alone: the hub holds no others.
type valuesWatch struct {
	client client.WithWatch
	// moved is called when an object was seen or changed.
	moved func(namespace string)

	mu      sync.Mutex
	watched map[objectKey]*watchedObject
}

type watchedObject struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	// waited says that a plan gave it its time: no later one waits again.
	waited bool
	// last is what was read instead, at readAt, where the watch is not allowed or not up.
	last   client.Object
	failed error
	readAt time.Time
}

func newValuesWatch(with client.WithWatch, moved func(namespace string)) *valuesWatch {
	return &valuesWatch{client: with, moved: moved, watched: map[objectKey]*watchedObject{}}
}

// keep watches what a namespace's bundles name now and nothing else. It gives an object that was not watched before a while to
// be seen; what could not be read by then is an error of those bundles alone.
func (w *valuesWatch) keep(ctx, running context.Context, namespace string, wanted map[objectKey]bool) {
	w.mu.Lock()
	for key, object := range w.watched {
		if key.namespace == namespace && !wanted[key] {
			object.stop()
			delete(w.watched, key)
		}
	}
	var synced []cache.InformerSynced
	for key := range wanted {
		object := w.watched[key]
		if object == nil {
			object = w.watch(running, key)
			w.watched[key] = object
		}
		if !object.waited {
			object.waited = true
			synced = append(synced, object.informer.HasSynced)
		}
	}
	w.mu.Unlock()
	if len(synced) == 0 {
		return
	}
	patience, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	cache.WaitForCacheSync(patience.Done(), synced...)
}

// watch begins to watch one object.
func (w *valuesWatch) watch(running context.Context, key objectKey) *watchedObject {
	var list client.ObjectList = &corev1.ConfigMapList{}
	if key.kind == "Secret" {
		list = &corev1.SecretList{}
	}
	options := func(raw metav1.ListOptions) *client.ListOptions {
		return &client.ListOptions{Namespace: key.namespace, FieldSelector: fields.OneTermEqualSelector("metadata.name", key.name), Raw: &raw}
	}
	informer := cache.NewSharedIndexInformer(listFirst{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
			found := list.DeepCopyObject().(client.ObjectList)
			return found, w.client.List(ctx, found, options(raw))
		},
		WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
			return w.client.Watch(ctx, list.DeepCopyObject().(client.ObjectList), options(raw))
		},
	}}, empty(key), 0, cache.Indexers{})
	ctx, stop := context.WithCancel(running)
	moved := func() { w.moved(key.namespace) }
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(any, bool) { moved() },
		UpdateFunc: func(_, _ any) { moved() },
		DeleteFunc: func(any) { moved() },
	})
	go informer.RunWithContext(ctx)
	return &watchedObject{informer: informer, stop: stop}
}

// listFirst lists, then watches: a stream of initial events gains nothing for one object.
type listFirst struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is how client-go asks.
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// read is an object's data; found is false where it is not there.
func (w *valuesWatch) read(key objectKey) (data map[string][]byte, found bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	object := w.watched[key]
	if object == nil {
		return nil, false, errors.New("it was not read yet")
	}
	if !object.informer.HasSynced() {
		return w.readOnce(key, object)
	}
	stored, found, err := object.informer.GetStore().GetByKey(key.namespace + "/" + key.name)
	if err != nil || !found {
		return nil, false, err
	}
	data, err = dataOf(stored)
	return data, true, err
}

// readOnce asks the API itself, and keeps the answer for a while.
func (w *valuesWatch) readOnce(key objectKey, object *watchedObject) (data map[string][]byte, found bool, err error) {
	if time.Since(object.readAt) > readAgain {
		object.last, object.readAt = empty(key), time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), firstLook)
		defer cancel()
		object.failed = w.client.Get(ctx, client.ObjectKey{Namespace: key.namespace, Name: key.name}, object.last)
	}
	if apierrors.IsNotFound(object.failed) {
		return nil, false, nil
	}
	if object.failed != nil {
		return nil, false, object.failed
	}
	data, err = dataOf(object.last)
	return data, true, err
}

func empty(key objectKey) client.Object {
	if key.kind == "Secret" {
		return &corev1.Secret{}
	}
	return &corev1.ConfigMap{}
}

func dataOf(object any) (map[string][]byte, error) {
	switch typed := object.(type) {
	case *corev1.Secret:
		return typed.Data, nil
	case *corev1.ConfigMap:
		data := make(map[string][]byte, len(typed.Data)+len(typed.BinaryData))
		maps.Copy(data, typed.BinaryData)
		for name, text := range typed.Data {
			data[name] = []byte(text)
		}
		return data, nil
	default:
		return nil, fmt.Errorf("it is a %T", object)
	}
}

// Values is target.ExternalValues'.
func (w *valuesWatch) Values(namespace string, reference v1alpha1.ValuesReference) (text string, found bool, err error) {
	key, name := referenceKey(namespace, reference)
	data, found, err := w.read(key)
	if err != nil || !found {
		return "", false, err
	}
	content, found := data[name]
	return string(content), found, nil
}

// Secret is the data of a watched Secret.
func (w *valuesWatch) Secret(_ context.Context, namespace, name string) (map[string][]byte, error) {
	data, found, err := w.read(objectKey{"Secret", namespace, name})
	if err == nil && !found {
		err = errors.New("it is not there")
	}
	return data, err
}

// Digest of what references give now.
func (w *valuesWatch) Digest(namespace string, references []v1alpha1.ValuesReference) string {
	if len(references) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, reference := range references {
		text, found, err := w.Values(namespace, reference)
		fmt.Fprintf(sum, "%d:%s %t %v\n", len(text), text, found, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// referenceKey names the object of a reference, and the key in it.
func referenceKey(namespace string, reference v1alpha1.ValuesReference) (key objectKey, name string) {
	kind, object := "ConfigMap", reference.ConfigMap
	if reference.Secret != nil {
		kind, object = "Secret", reference.Secret
	}
	if name = object.Key; name == "" {
		name = target.DefaultValuesKey
	}
	return objectKey{kind, namespace, object.Name}, name
}

// objects that a bundle names in the hub's API.
func (b plannedBundle) objects(namespace string) []objectKey {
	var out []objectKey
	for _, reference := range b.references {
		key, _ := referenceKey(namespace, reference)
		out = append(out, key)
	}
	sources := []*v1alpha1.BundleSource{b.Spec.Source}
	for _, t := range b.Spec.Targets {
		sources = append(sources, t.Source)
	}
	for _, source := range sources {
		if source != nil && source.Helm != nil && source.Helm.SecretRef != nil {
			out = append(out, objectKey{"Secret", namespace, source.Helm.SecretRef.Name})
		}
	}
	return out
}

// takeValues notes the bundles whose ConfigMaps and Secrets changed.
func (p *planner) takeValues(namespace string) {
	if p.values == nil {
		return
	}
	for key, bundle := range p.bundles {
		if len(bundle.references) == 0 {
			continue
		}
		digest := p.values.Digest(namespace, bundle.references)
		if before, had := p.digests[key]; !had || before != digest {
			p.digests[key] = digest
			p.pending.bundles[key] = true
		}
	}
}
