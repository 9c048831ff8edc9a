// Package podrunner runs the agent for the agent's pods: a member's Nodes are simulated, so its pods run nothing, but a
// member without a living agent would be no member of the fleet. Of each member's pods it takes those with the agent's label
// in the agent's namespace, and runs the agent's binary with the pod's arguments and environment as a process of this
// machine, for as long as the pod is there. The process has the rights of the pod's ServiceAccount and no others.
package podrunner

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/periplus-fleet/periplus/clusters/local/member"
)

// Config of the runner.
type Config struct {
	// Binary of the agent.
	Binary string
	Log    *slog.Logger
}

const (
	namespace = "periplus-system"
	selector  = "app.kubernetes.io/name=periplus-agent"
	// Pods are looked at again without a cause, so that one that could not be started is tried again.
	resync = 10 * time.Second
)

// Companion runs the agent in members.
func Companion(cfg Config) member.Companion {
	return member.Companion{Name: "podrunner", Run: func(ctx context.Context, running member.Running) error { return run(ctx, cfg, running) }}
}

func run(ctx context.Context, cfg Config, running member.Running) error {
	config, err := running.Server.Config("periplus-podrunner", "system:masters")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = selector }))
	informer := factory.Core().V1().Pods().Informer()
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() }}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	r := &runner{cfg: cfg, member: running, client: client, pods: map[types.UID]*agent{}}
	defer r.endAll()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	for {
		r.sync(ctx, pods(informer.GetStore()))
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func pods(store cache.Store) map[types.UID]*corev1.Pod {
	out := map[types.UID]*corev1.Pod{}
	for _, object := range store.List() {
		if pod, ok := object.(*corev1.Pod); ok && Runs(pod) {
			out[pod.UID] = pod
		}
	}
	return out
}

// Runs says whether a kubelet would have the pod's containers running.
func Runs(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp.IsZero() && pod.Spec.NodeName != "" && len(pod.Spec.Containers) > 0 && pod.Status.Phase == corev1.PodRunning
}

// runner owns the agents of one member; one goroutine calls it.
type runner struct {
	cfg    Config
	member member.Running
	client kubernetes.Interface
	pods   map[types.UID]*agent
}

// sync ends what has no pod any more before it starts what has none yet: two agents of one identity would fight.
func (r *runner) sync(ctx context.Context, wanted map[types.UID]*corev1.Pod) {
	for uid, a := range r.pods {
		if _, ok := wanted[uid]; !ok {
			a.end()
			delete(r.pods, uid)
		}
	}
	for uid, pod := range wanted {
		if _, ok := r.pods[uid]; ok {
			continue
		}
		a, err := r.start(ctx, pod)
		if err != nil {
			r.cfg.Log.Warn("cannot run the agent", "cluster", r.member.Cluster, "pod", pod.Name, "err", err)
			continue
		}
		r.pods[uid] = a
	}
}

func (r *runner) endAll() {
	for _, a := range r.pods {
		a.end()
	}
}

// describe is for errors.
func describe(pod *corev1.Pod) string { return fmt.Sprintf("pod %q", pod.Namespace+"/"+pod.Name) }
