package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/periplus-fleet/periplus/e2e/member"
)

func name(bundle int) string { return fmt.Sprintf("b%03d", bundle) }

// objectName says the kind: the same name of another kind would be another object.
func objectName(bundle string, object int) string {
	return fmt.Sprintf("%s-%d-%03d", bundle, object%len(member.SampleKinds), object)
}

// act makes one change, mostly of what is there.
func (s *soaking) act(ctx context.Context) error {
	bundle := name(s.random.IntN(bundles))
	_, exists := s.fleet[bundle]
	switch dice := s.random.IntN(100); {
	case !exists:
		s.result.Changes.Added++
		return s.add(bundle)
	case dice < 8:
		s.result.Changes.Removed++
		s.remove(bundle)
		return nil
	case dice < 50:
		s.result.Changes.Changed++
		return s.change(bundle)
	default:
		return s.drift(ctx, bundle, dice < 60)
	}
}

func (s *soaking) value() string {
	s.serial++
	return fmt.Sprintf("v%d", s.serial)
}

func (s *soaking) add(bundle string) error {
	s.fleet[bundle] = map[int]string{}
	for object := range perBundle {
		s.want(bundle, object)
	}
	return s.assign(bundle)
}

func (s *soaking) want(bundle string, object int) {
	s.fleet[bundle][object] = s.value()
	s.ledger.Want(objectName(bundle, object), s.fleet[bundle][object])
	s.result.Changes.Objects++
}

// change gives some objects another value, one up to all, and now and then takes one out or brings one in.
func (s *soaking) change(bundle string) error {
	objects := s.fleet[bundle]
	for range 1 + s.random.IntN(3) {
		object := s.random.IntN(perBundle)
		if _, exists := objects[object]; exists && s.random.IntN(3) == 0 && len(objects) > 1 {
			delete(objects, object)
			s.ledger.Unwant(objectName(bundle, object))
			s.result.Changes.Objects++
			continue
		}
		s.want(bundle, object)
	}
	return s.assign(bundle)
}

func (s *soaking) assign(bundle string) error {
	wanted := member.Bundle{Name: bundle}
	for _, object := range slices.Sorted(maps.Keys(s.fleet[bundle])) {
		wanted.Objects = append(wanted.Objects, member.Sample(object, objectName(bundle, object), s.fleet[bundle][object]))
	}
	return s.member.Hub.Assign(wanted)
}

func (s *soaking) remove(bundle string) {
	for object := range s.fleet[bundle] {
		s.ledger.Unwant(objectName(bundle, object))
		s.result.Changes.Objects++
	}
	delete(s.fleet, bundle)
	s.member.Hub.Remove(bundle)
}

// drift changes or deletes an object as somebody else. It is repaired soon only where nothing else is under way: an object
// that is not applied yet is left alone.
func (s *soaking) drift(ctx context.Context, bundle string, deletion bool) error {
	objects := slices.Sorted(maps.Keys(s.fleet[bundle]))
	object := objects[s.random.IntN(len(objects))]
	name, value := objectName(bundle, object), ""
	live := s.objects(object)
	if !s.ledger.Right(name) {
		return nil
	}
	if !deletion {
		value = s.value()
	}
	undo := s.ledger.Drift(name, value, time.Now(), time.Since(s.agent.Started) > startTime)
	var err error
	if deletion {
		err = live.Delete(ctx, name, metav1.DeleteOptions{})
	} else {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, member.ValueAnnotation, value)
		_, err = live.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	}
	switch {
	case apierrors.IsNotFound(err):
		undo()
		return nil
	case err != nil:
		return fmt.Errorf("cannot change %q as somebody else: %w", name, err)
	case deletion:
		s.result.Changes.Deleted++
	default:
		s.result.Changes.Drifted++
	}
	return nil
}

func (s *soaking) objects(object int) metadata.ResourceInterface {
	return s.client.Resource(member.SampleKinds[object%len(member.SampleKinds)]).Namespace(member.Space)
}
