package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolswatch "k8s.io/client-go/tools/watch"

	"github.com/periplus-fleet/periplus/e2e/member"
)

// managed are the objects that the agent holds.
var managed = metav1.ListOptions{LabelSelector: "fleet.periplus.dev/managed=true"}

// follow tells the ledger of every change of every object, until ctx ends.
func (s *soaking) follow(ctx context.Context) error {
	for kind := range member.SampleKinds {
		objects := s.objects(kind)
		list, err := objects.List(ctx, managed)
		if err != nil {
			return fmt.Errorf("cannot follow the objects: %w", err)
		}
		stream, err := toolswatch.NewRetryWatcherWithContext(ctx, list.ResourceVersion, watcher{objects})
		if err != nil {
			return fmt.Errorf("cannot follow the objects: %w", err)
		}
		go s.tell(stream)
	}
	return nil
}

func (s *soaking) tell(stream watch.Interface) {
	for event := range stream.ResultChan() {
		live, ok := event.Object.(metav1.Object)
		if !ok {
			continue
		}
		switch event.Type {
		case watch.Added, watch.Modified:
			s.ledger.Saw(live.GetName(), live.GetAnnotations()[member.ValueAnnotation], time.Now())
		case watch.Deleted:
			s.ledger.Gone(live.GetName())
		}
	}
}

// watcher begins the watch of a kind anew where it ended.
type watcher struct{ objects metadata.ResourceInterface }

// WatchWithContext implements cache.WatcherWithContext.
func (w watcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.LabelSelector = managed.LabelSelector
	return w.objects.Watch(ctx, options)
}

// found are the values of all objects that the agent holds, by name.
func (s *soaking) found(ctx context.Context) (map[string]string, error) {
	values := map[string]string{}
	for kind := range member.SampleKinds {
		list, err := s.objects(kind).List(ctx, managed)
		if err != nil {
			return nil, fmt.Errorf("cannot read the objects: %w", err)
		}
		for i := range list.Items {
			values[list.Items[i].Name] = list.Items[i].Annotations[member.ValueAnnotation]
		}
	}
	return values, nil
}
