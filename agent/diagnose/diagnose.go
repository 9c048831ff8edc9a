// Package diagnose says in a person's words why a workload is not ready: which pod, which container, which event. It decides
// from objects that others read (pods with their statuses, events, quotas) and asks the cluster for nothing, so that the
// reconciler's status and the answers to queries say the same.
package diagnose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/api/content"
)

// Finding is one reason why something is not ready.
type Finding struct {
	// Cause is the object that the reason was found at.
	Cause content.ObjectID
	// Message is one line for a person; Advice what to do, where that is known.
	Message string
	Advice  string
	// weight orders findings: what stops everything before what only slows it.
	weight int
}

// Sources are what is known around a workload.
type Sources struct {
	// Pods of the workload.
	Pods []*unstructured.Unstructured
	// Events about the workload and what it owns, by UID of what they are about, oldest first.
	Events map[string][]Event
}

// Event of the cluster.
type Event struct {
	About    content.ObjectID
	Warning  bool
	Reason   string
	Message  string
	LastSeen time.Time
}

// Weights of findings, the most telling first.
const (
	fatal = iota
	stuck
	failing
	waiting
	hint
)

// Explain names the reasons, the most telling first; pods with the same reason are one finding that counts them.
func Explain(sources Sources) []Finding {
	var all []Finding
	for _, pod := range sources.Pods {
		all = append(all, podFindings(pod, sources.Events[string(pod.GetUID())])...)
	}
	pods := map[string]bool{}
	for _, pod := range sources.Pods {
		pods[string(pod.GetUID())] = true
	}
	for uid, events := range sources.Events {
		if !pods[uid] {
			all = append(all, ownerFindings(events)...)
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.weight, b.weight), a.Cause.Compare(b.Cause), strings.Compare(a.Message, b.Message))
	})
	return merge(all)
}

// merge makes one finding of those that say the same of several pods.
func merge(all []Finding) []Finding {
	var out []Finding
	at, counts := map[string]int{}, map[string]int{}
	for _, f := range all {
		key := strings.ReplaceAll(f.Message, f.Cause.Name, "*")
		if _, seen := at[key]; !seen {
			at[key] = len(out)
			out = append(out, f)
		}
		counts[key]++
	}
	for key, i := range at {
		if n := counts[key]; n > 1 {
			out[i].Message += fmt.Sprintf(" (and %d more like it)", n-1)
		}
	}
	return out
}

func podID(pod *corev1.Pod) content.ObjectID {
	return content.ObjectID{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
}

// podFindings are the reasons why one pod is not ready; none when it is.
func podFindings(live *unstructured.Unstructured, events []Event) []Finding {
	pod := &corev1.Pod{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, pod) != nil || ready(pod) {
		return nil
	}
	id := podID(pod)
	say := func(weight int, advice, format string, args ...any) Finding {
		return Finding{Cause: id, Message: "pod " + pod.Name + ": " + fmt.Sprintf(format, args...), Advice: advice, weight: weight}
	}
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return []Finding{podFailed(pod, say)}
	}
	var found []Finding
	if f, ok := unscheduled(pod, say); ok {
		return []Finding{f}
	}
	for i, status := range pod.Status.InitContainerStatuses {
		if f, ok := container("init container", status, initSpec(pod, i), events, say); ok {
			// What comes after waits for it.
			return []Finding{f}
		}
	}
	for i, status := range pod.Status.ContainerStatuses {
		if f, ok := container("container", status, mainSpec(pod, i), events, say); ok {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		found = append(found, fromEvents(events, say)...)
	}
	if len(found) == 0 {
		found = append(found, gates(pod, say)...)
	}
	return found
}

type sayer func(weight int, advice, format string, args ...any) Finding

func ready(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func initSpec(pod *corev1.Pod, i int) *corev1.Container {
	return named(pod.Spec.InitContainers, pod.Status.InitContainerStatuses[i].Name)
}

func mainSpec(pod *corev1.Pod, i int) *corev1.Container {
	return named(pod.Spec.Containers, pod.Status.ContainerStatuses[i].Name)
}

func named(containers []corev1.Container, name string) *corev1.Container {
	for i := range containers {
		if containers[i].Name == name {
			return &containers[i]
		}
	}
	return &corev1.Container{Name: name}
}

func podFailed(pod *corev1.Pod, say sayer) Finding {
	switch pod.Status.Reason {
	case "Evicted":
		return say(failing, "Give it requests that match its use, or the node more room.", "was evicted: %s", oneLine(pod.Status.Message))
	case "DeadlineExceeded":
		return say(fatal, "Raise spec.activeDeadlineSeconds, or find out what takes so long.", "ran longer than it may: %s", oneLine(pod.Status.Message))
	case "NodeLost", "Terminated", "NodeShutdown":
		return say(failing, "", "its node went away: %s", oneLine(pod.Status.Message))
	case "NodeAffinity", "OutOfcpu", "OutOfmemory", "OutOfpods":
		return say(failing, "", "the node refused it (%s): %s", pod.Status.Reason, oneLine(pod.Status.Message))
	default:
		return say(fatal, "", "failed (%s): %s", pod.Status.Reason, oneLine(pod.Status.Message))
	}
}

// Parts of the scheduler's message, and what they mean.
var scheduling = []struct {
	pattern *regexp.Regexp
	words   string
	advice  string
}{
	{regexp.MustCompile(`(?i)Insufficient ([a-z0-9./-]+)`), "no node has enough %s", "Add nodes, or lower resources.requests."},
	{regexp.MustCompile(`(?i)untolerated taint \{([^}]*)\}`), "nodes have a taint that it does not tolerate (%s)", "Add a toleration, or choose other nodes."},
	{regexp.MustCompile(`(?i)(didn't match Pod's node affinity/selector|node\(s\) didn't match node selector)`), "no node matches its node selector or affinity", "Mend nodeSelector or affinity, or label nodes."},
	{regexp.MustCompile(`(?i)(didn't match pod (?:anti-)?affinity rules|didn't satisfy existing pods anti-affinity rules)`), "its rules about other pods leave no node", "Loosen podAffinity or podAntiAffinity, or add nodes."},
	{regexp.MustCompile(`(?i)(volume node affinity conflict)`), "its volume lies where no node may run it", "The volume is bound to a zone or node: run the pod there, or make a new claim."},
	{regexp.MustCompile(`(?i)persistentvolumeclaim "([^"]+)" not found`), "its claim %s does not exist", "Make the PersistentVolumeClaim, or mend its name in spec.volumes."},
	{regexp.MustCompile(`(?i)(unbound immediate PersistentVolumeClaims|unbound PersistentVolumeClaims)`), "its claim is not bound to a volume", "See the events of the PersistentVolumeClaim: a class or a provisioner is missing, or there is no room."},
	{regexp.MustCompile(`(?i)(Too many pods)`), "the nodes run as many pods as they may", "Add nodes."},
	{regexp.MustCompile(`(?i)(topology spread constraints)`), "its spread over zones or nodes leaves no node", "Loosen topologySpreadConstraints, or add nodes."},
	{regexp.MustCompile(`(?i)(free ports for the requested pod ports)`), "the port that it takes of its node is taken on all nodes", "Take hostPort out, or run fewer."},
	{regexp.MustCompile(`(?i)(no nodes available to schedule pods)`), "the cluster has no nodes", "Add nodes."},
}

func unscheduled(pod *corev1.Pod, say sayer) (Finding, bool) {
	if len(pod.Spec.SchedulingGates) > 0 {
		return say(waiting, "Whoever set the gate lets it go.", "is held back by scheduling gate %s", pod.Spec.SchedulingGates[0].Name), true
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled || condition.Status != corev1.ConditionFalse {
			continue
		}
		var words []string
		advice := ""
		for _, s := range scheduling {
			match := s.pattern.FindStringSubmatch(condition.Message)
			if match == nil {
				continue
			}
			text := s.words
			if strings.Contains(text, "%s") {
				text = fmt.Sprintf(text, strings.Trim(match[1], " .:"))
			}
			words = append(words, text)
			if advice == "" {
				advice = s.advice
			}
		}
		if len(words) == 0 {
			words = []string{oneLine(condition.Message)}
		}
		return say(stuck, advice, "cannot be scheduled: %s", strings.Join(words, "; ")), true
	}
	return Finding{}, false
}

// gates are conditions that others must set before the pod counts as ready.
func gates(pod *corev1.Pod, say sayer) []Finding {
	for _, gate := range pod.Spec.ReadinessGates {
		met := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		})
		if !met {
			return []Finding{say(waiting, "Whoever sets this condition has not yet.", "waits for readiness gate %s", gate.ConditionType)}
		}
	}
	return nil
}

// oneLine is a message as one line of a bearable length.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}
