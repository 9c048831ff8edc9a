package diagnose_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/periplus-fleet/periplus/agent/diagnose"
	"github.com/periplus-fleet/periplus/api/content"
)

func unstruct(t *testing.T, pod *corev1.Pod) *unstructured.Unstructured {
	t.Helper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: object}
}

// one is a pod with one container in a state.
func one(change func(*corev1.Pod, *corev1.ContainerStatus)) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: types.UID("u1")},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "r.example.com/web:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending}}
	status := corev1.ContainerStatus{Name: "web"}
	change(pod, &status)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	return pod
}

func waits(reason, message string) *corev1.Pod {
	return one(func(_ *corev1.Pod, s *corev1.ContainerStatus) {
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	})
}

func crashed(t corev1.ContainerStateTerminated) *corev1.Pod {
	return one(func(_ *corev1.Pod, s *corev1.ContainerStatus) {
		s.RestartCount = 7
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 5m0s"}
		s.LastTerminationState.Terminated = &t
	})
}

func unscheduled(message string) *corev1.Pod {
	return one(func(p *corev1.Pod, _ *corev1.ContainerStatus) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}
	})
}

func running() *corev1.Pod {
	return one(func(p *corev1.Pod, s *corev1.ContainerStatus) {
		p.Status.Phase = corev1.PodRunning
		s.State.Running = &corev1.ContainerStateRunning{}
	})
}

func failed(reason, message string) *corev1.Pod {
	return one(func(p *corev1.Pod, _ *corev1.ContainerStatus) {
		p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, reason, message
	})
}

func initFails() *corev1.Pod {
	pod := waits("PodInitializing", "")
	pod.Spec.InitContainers = []corev1.Container{{Name: "migrate"}}
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "migrate", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "no database"}}}}
	return pod
}

// TestExplainPod has a case for each way in which a pod fails to become ready.
func TestExplainPod(t *testing.T) {
	warns := func(reason, message string) []diagnose.Event {
		return []diagnose.Event{{Warning: true, Reason: reason, Message: message}}
	}
	cases := map[string]struct {
		pod    *corev1.Pod
		events []diagnose.Event
		want   string
	}{
		"ImageNotFound":    {waits("ErrImagePull", `failed to pull and unpack image "r.example.com/web:1": not found`), nil, "pod web-1: container web: image r.example.com/web:1 does not exist"},
		"ImageNoRight":     {waits("ImagePullBackOff", "pull access denied, repository does not exist or may require authorization"), nil, "pod web-1: container web: the registry does not let image r.example.com/web:1 be pulled"},
		"ImageNoAnswer":    {waits("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout"), nil, "pod web-1: container web: the registry of image r.example.com/web:1 does not answer"},
		"ImageOtherChip":   {waits("ErrImagePull", "no match for platform in manifest: not found"), nil, "pod web-1: container web: image r.example.com/web:1 is not made for this node's architecture"},
		"ImageName":        {waits("InvalidImageName", "couldn't parse image name"), nil, `pod web-1: container web: "r.example.com/web:1" is no image name`},
		"ImageNever":       {waits("ErrImageNeverPull", ""), nil, "pod web-1: container web: image r.example.com/web:1 is not on the node, and imagePullPolicy is Never"},
		"NoConfigMap":      {waits("CreateContainerConfigError", `configmap "settings" not found`), nil, "pod web-1: container web: ConfigMap settings does not exist"},
		"NoSecret":         {waits("CreateContainerConfigError", `secret "token" not found`), nil, "pod web-1: container web: Secret token does not exist"},
		"NoKey":            {waits("CreateContainerConfigError", `couldn't find key url in ConfigMap shop/settings`), nil, "pod web-1: container web: ConfigMap shop/settings has no key url"},
		"MayNotBeRoot":     {waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), nil, "pod web-1: container web may not run as root, and its image does"},
		"CannotStart":      {waits("CreateContainerError", "context deadline exceeded"), nil, "pod web-1: container web cannot be started (CreateContainerError): context deadline exceeded"},
		"Crash":            {crashed(corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "panic: no config\n"}), nil, "pod web-1: container web crashes again and again (7 times): ended with code 1: panic: no config"},
		"OutOfMemory":      {crashed(corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}), nil, "pod web-1: container web crashes again and again (7 times): was stopped as it used more memory than its limit"},
		"Signal":           {crashed(corev1.ContainerStateTerminated{ExitCode: 139, Reason: "Error"}), nil, "pod web-1: container web crashes again and again (7 times): was ended by signal SIGSEGV"},
		"NoCommand":        {crashed(corev1.ContainerStateTerminated{ExitCode: 127, Reason: "Error"}), nil, "pod web-1: container web crashes again and again (7 times): ended with code 127: its command was not found"},
		"InitFails":        {initFails(), nil, "pod web-1: init container migrate ended with code 2: no database"},
		"NoProcessor":      {unscheduled("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available"), nil, "pod web-1: cannot be scheduled: no node has enough cpu"},
		"Taint":            {unscheduled("0/3 nodes are available: 3 node(s) had untolerated taint {gpu: true}."), nil, "pod web-1: cannot be scheduled: nodes have a taint that it does not tolerate (gpu: true)"},
		"Selector":         {unscheduled("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."), nil, "pod web-1: cannot be scheduled: no node matches its node selector or affinity"},
		"TwoReasons":       {unscheduled("0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint {a: b}."), nil, "pod web-1: cannot be scheduled: no node has enough memory; nodes have a taint that it does not tolerate (a: b)"},
		"VolumeElsewhere":  {unscheduled("0/3 nodes are available: 3 node(s) had volume node affinity conflict."), nil, "pod web-1: cannot be scheduled: its volume lies where no node may run it"},
		"NoClaim":          {unscheduled(`0/3 nodes are available: persistentvolumeclaim "data" not found.`), nil, "pod web-1: cannot be scheduled: its claim data does not exist"},
		"UnboundClaim":     {unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."), nil, "pod web-1: cannot be scheduled: its claim is not bound to a volume"},
		"OtherScheduling":  {unscheduled("0/3 nodes are available: 3 node(s) are on holiday."), nil, "pod web-1: cannot be scheduled: 0/3 nodes are available: 3 node(s) are on holiday."},
		"Readiness":        {running(), warns("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"), "pod web-1: container web: its readiness probe fails: HTTP probe failed with statuscode: 503"},
		"Liveness":         {running(), warns("Unhealthy", "Liveness probe failed: connection refused"), "pod web-1: container web: its liveness probe fails: connection refused"},
		"Startup":          {running(), warns("Unhealthy", "Startup probe failed: command timed out"), "pod web-1: container web: its startup probe fails: command timed out"},
		"MountNoSecret":    {waits("ContainerCreating", ""), warns("FailedMount", `MountVolume.SetUp failed for volume "v" : secret "tls" not found`), "pod web-1: a volume needs Secret tls, which does not exist"},
		"MountFails":       {waits("ContainerCreating", ""), warns("FailedAttachVolume", "Multi-Attach error for volume"), "pod web-1: a volume cannot be mounted: Multi-Attach error for volume"},
		"Network":          {waits("ContainerCreating", ""), warns("FailedCreatePodSandBox", "cni plugin not initialized"), "pod web-1: the network of the pod cannot be made: cni plugin not initialized"},
		"Evicted":          {failed("Evicted", "The node was low on resource: memory."), nil, "pod web-1: was evicted: The node was low on resource: memory."},
		"DeadlineExceeded": {failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"), nil, "pod web-1: ran longer than it may: Pod was active on the node longer than the specified deadline"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			found := diagnose.Explain(diagnose.Sources{Pods: []*unstructured.Unstructured{unstruct(t, c.pod)}, Events: map[string][]diagnose.Event{"u1": c.events}})
			if len(found) != 1 || found[0].Message != c.want || found[0].Cause != (content.ObjectID{Kind: "Pod", Namespace: "shop", Name: "web-1"}) {
				t.Errorf("got %+v\nwant %s", found, c.want)
			}
		})
	}
}

func TestExplainOwner(t *testing.T) {
	cases := map[string]struct {
		kind, reason, message string
		want                  string
	}{
		"Quota": {"ReplicaSet", "FailedCreate", `pods "x" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=3, limited: cpu=4`,
			"ReplicaSet x cannot make pods: ResourceQuota small is used up: it asks for cpu=2, cpu=3 of cpu=4 is used"},
		"Account":     {"ReplicaSet", "FailedCreate", `pods "x-" is forbidden: error looking up service account shop/web: serviceaccount "web" not found`, "ReplicaSet x cannot make pods: ServiceAccount web does not exist"},
		"PodSecurity": {"ReplicaSet", "FailedCreate", `pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged (container "a" must not set it)`, `ReplicaSet x cannot make pods: the namespace's Pod Security restricted:latest refuses them: privileged (container "a" must not set it)`},
		"Webhook":     {"Job", "FailedCreate", `admission webhook "deny.example.com" denied the request: no`, "Job x cannot make pods: webhook deny.example.com refuses them: no"},
		"Limits":      {"ReplicaSet", "FailedCreate", `pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2`, "ReplicaSet x cannot make pods: a LimitRange refuses them: maximum cpu usage per Container is 1, but limit is 2"},
		"BackOff":     {"Job", "BackoffLimitExceeded", "Job has reached the specified backoff limit", "Job x failed as often as it may"},
		"NoClass":     {"PersistentVolumeClaim", "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`, `PersistentVolumeClaim x has no volume: its StorageClass does not exist: storageclass.storage.k8s.io "fast" not found`},
		"NoVolume":    {"PersistentVolumeClaim", "FailedBinding", "no persistent volumes available for this claim and no storage class is set", "PersistentVolumeClaim x has no volume: it names no StorageClass, and no volume fits"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			events := map[string][]diagnose.Event{"o1": {{About: content.ObjectID{Kind: c.kind, Name: "x"}, Warning: true, Reason: c.reason, Message: c.message}}}
			if found := diagnose.Explain(diagnose.Sources{Events: events}); len(found) != 1 || found[0].Message != c.want {
				t.Errorf("got %+v\nwant %s", found, c.want)
			}
		})
	}
}

func TestExplainTogether(t *testing.T) {
	second := waits("ErrImagePull", "not found")
	second.Name, second.UID = "web-2", "u2"
	ready := running()
	ready.Name, ready.UID = "web-3", "u3"
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	other := running()
	other.Name, other.UID = "web-4", "u4"
	events := map[string][]diagnose.Event{"u4": {{Warning: true, Reason: "Unhealthy", Message: "Readiness probe failed: no"}}}
	found := diagnose.Explain(diagnose.Sources{Events: events, Pods: []*unstructured.Unstructured{unstruct(t, other), unstruct(t, ready), unstruct(t, second), unstruct(t, waits("ErrImagePull", "not found"))}})
	if len(found) != 2 {
		t.Fatalf("got %+v", found)
	}
	if want := "pod web-1: container web: image r.example.com/web:1 does not exist (and 1 more like it)"; found[0].Message != want {
		t.Errorf("what stops everything comes first, and once: got %q, want %q", found[0].Message, want)
	}
	if want := "pod web-4: container web: its readiness probe fails: no"; found[1].Message != want {
		t.Errorf("got %q, want %q", found[1].Message, want)
	}
}
