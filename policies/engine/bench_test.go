package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fleetOf templates with constraints each, of which the first of every pods-th template is about Pods.
func fleetOf(t testing.TB, templates, constraints, pods int, revision string) Source {
	var source Source
	for i := range templates {
		source.Gatekeeper = append(source.Gatekeeper, manifest(t, fmt.Sprintf(`
kind: ConstraintTemplate
metadata: {name: repos%[1]d}
spec:
  crd: {spec: {names: {kind: Repos%[1]d}, validation: {openAPIV3Schema: {type: object, properties: {repos: {type: array, items: {type: string}}}}}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package repos%[1]d

        violation[{"msg": msg}] {
          container := input.review.object.spec.containers[_]
          not strings.any_prefix_match(container.image, input.parameters.repos)
          msg := sprintf("container <%%v> has an invalid image repo <%%v>, allowed repos are %%v%[2]s", [container.name, container.image, input.parameters.repos])
        }

        violation[{"msg": msg}] {
          container := input.review.object.spec.initContainers[_]
          not strings.any_prefix_match(container.image, input.parameters.repos)
          msg := sprintf("initContainer <%%v> has an invalid image repo <%%v>, allowed repos are %%v", [container.name, container.image, input.parameters.repos])
        }

        violation[{"msg": msg}] {
          container := input.review.object.spec.ephemeralContainers[_]
          not strings.any_prefix_match(container.image, input.parameters.repos)
          msg := sprintf("ephemeralContainer <%%v> has an invalid image repo <%%v>, allowed repos are %%v", [container.name, container.image, input.parameters.repos])
        }
`, i, revision)))
		for j := range constraints {
			kind := "{apiGroups: [apps], kinds: [Deployment]}"
			if j == 0 && i%pods == 0 {
				kind = "{apiGroups: [''], kinds: [Pod]}"
			}
			source.Gatekeeper = append(source.Gatekeeper, manifest(t, fmt.Sprintf(`
kind: Repos%d
metadata: {name: c%d}
spec: {match: {kinds: [%s], excludedNamespaces: [kube-system]}, parameters: {repos: [registry.example.com/, mirror-%d.example.com/]}}
`, i, j, kind, i)))
		}
	}
	return source
}

func mustLoad(t testing.TB, source Source, previous *Snapshot) *Snapshot {
	t.Helper()
	s, refusals := Load(source, previous)
	if len(refusals) > 0 {
		t.Fatal(refusals)
	}
	return s
}

func mustReviewer(t testing.TB, s *Snapshot, cluster Cluster) *Reviewer {
	t.Helper()
	r, err := s.Reviewer(cluster, "", PointAdmission, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reviewOf an object as admission does it, from the decoded object on.
func reviewOf(t testing.TB, r *Reviewer, o map[string]any) []Finding {
	prepared, err := Prepare(o, "")
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.Review(context.Background(), prepared, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// processor is the time that this thread has had, which other work on the machine does not change.
func processor(t testing.TB) time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}

func measure(b *testing.B, r *Reviewer, o map[string]any, want int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took, worked []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		started, before := time.Now(), processor(b)
		if found := reviewOf(b, r, o); len(found) != want {
			b.Fatalf("want %d findings, got %+v", want, found)
		}
		worked, took = append(worked, processor(b)-before), append(took, time.Since(started))
	}
	slices.Sort(took)
	slices.Sort(worked)
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	b.ReportMetric(float64(worked[len(worked)*99/100]), "cpu-p99-ns")
}

// BenchmarkReview is policy/review: a Pod against 50 templates with 200 constraints, of which 10 are about it.
func BenchmarkReview(b *testing.B) {
	s := mustLoad(b, fleetOf(b, 50, 4, 5, ""), nil)
	measure(b, mustReviewer(b, s, Cluster{}), corpus()[0], 10)
}

// BenchmarkReviewBound is policy/review-bound: the same of policies with METADATA and 200 bindings.
func BenchmarkReviewBound(b *testing.B) {
	var source Source
	for i := range 50 {
		kind := "[ConfigMap]"
		if i%5 == 0 {
			kind = "[Pod]"
		}
		name := fmt.Sprintf("p%d", i)
		source.Modules = append(source.Modules, policy(name, strings.Join([]string{
			"deny contains msg if {", "\tsome c in input.containers", "\tnot approved(c.image)",
			"\tmsg := sprintf(\"image %q\", [c.image])", "}", "",
			"approved(image) if {", "\tsome prefix in input.parameters.registries", "\tstartswith(image, prefix)", "}"}, "\n"),
			"kinds: "+kind, "parameters: {registries: [registry.example.com/]}"))
		for j := range 4 {
			source.Bindings = append(source.Bindings, bind(fmt.Sprintf("b%d-%d", i, j), name, map[string]string{"n": fmt.Sprint(j)}, "warn", nil))
		}
	}
	measure(b, mustReviewer(b, mustLoad(b, source, nil), Cluster{Labels: map[string]string{"n": "1"}}), corpus()[0], 10)
}

// BenchmarkNothing is policy/nothing: an object of a kind that none of 200 constraints is about.
func BenchmarkNothing(b *testing.B) {
	s := mustLoad(b, fleetOf(b, 50, 4, 5, ""), nil)
	measure(b, mustReviewer(b, s, Cluster{}), object("v1", "ConfigMap", "c", nil), 0)
}

// BenchmarkHeap is policy/heap: what 500 constraints of 100 templates keep, with a reviewer for one cluster.
func BenchmarkHeap(b *testing.B) {
	source := fleetOf(b, 100, 5, 5, "")
	for b.Loop() {
		before := inUse()
		s := mustLoad(b, source, nil)
		r := mustReviewer(b, s, Cluster{})
		b.ReportMetric(float64(inUse()-before)/(1<<20), "MiB")
		runtime.KeepAlive(r)
	}
	runtime.KeepAlive(source)
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSwap is policy/swap: 200 templates are all replaced while Pods are reviewed. A review is late by what it takes more
// than the slowest of those without a swap.
func BenchmarkSwap(b *testing.B) {
	var current atomic.Pointer[Reviewer]
	s := mustLoad(b, fleetOf(b, 200, 1, 20, ""), nil)
	current.Store(mustReviewer(b, s, Cluster{}))
	pod := corpus()[0]
	watch := func(done <-chan struct{}) (slowest time.Duration, reviews int) {
		for {
			select {
			case <-done:
				return slowest, reviews
			default:
				started := time.Now()
				reviewOf(b, current.Load(), pod)
				slowest = max(slowest, time.Since(started))
				reviews++
			}
		}
	}
	quiet := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(quiet) })
	usual, _ := watch(quiet)
	revision := 0
	var took, late time.Duration
	for b.Loop() {
		revision++
		source := fleetOf(b, 200, 1, 20, fmt.Sprintf(" (revision %d)", revision))
		done, slowest := make(chan struct{}), make(chan time.Duration, 1)
		go func() {
			worst, _ := watch(done)
			slowest <- worst
		}()
		started := time.Now()
		s = mustLoad(b, source, s)
		current.Store(mustReviewer(b, s, Cluster{}))
		took = max(took, time.Since(started))
		close(done)
		late = max(late, <-slowest-usual)
	}
	b.ReportMetric(took.Seconds(), "s")
	b.ReportMetric(float64(usual)/1e6, "usual-ms")
	b.ReportMetric(float64(late)/1e6, "late-ms")
}
