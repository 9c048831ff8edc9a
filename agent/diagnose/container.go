package diagnose

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// container says why one container does not run, or is not ready.
func container(what string, status corev1.ContainerStatus, spec *corev1.Container, events []Event, say sayer) (Finding, bool) {
	isInit := what == "init container"
	if w := status.State.Waiting; w != nil {
		return waitingFor(what, status, spec, *w, say)
	}
	if t := status.State.Terminated; t != nil {
		if t.ExitCode == 0 && (isInit || t.Reason == "Completed") {
			return Finding{}, false
		}
		return say(failing, adviceFor(t), "%s %s %s", what, status.Name, ended(t)), true
	}
	if status.State.Running == nil || isInit && (spec.RestartPolicy == nil || status.Started != nil && *status.Started) {
		return Finding{}, false
	}
	if status.Ready {
		return Finding{}, false
	}
	if f, ok := probe(what, status, events, say); ok {
		return f, true
	}
	if last := status.LastTerminationState.Terminated; last != nil && status.RestartCount > 0 {
		return say(failing, adviceFor(last), "%s %s was started again %d times: %s", what, status.Name, status.RestartCount, ended(last)), true
	}
	if spec.ReadinessProbe != nil || spec.StartupProbe != nil {
		return say(hint, "", "%s %s runs and its probe has not passed yet", what, status.Name), true
	}
	return Finding{}, false
}

var (
	noSuchImage = regexp.MustCompile(`(?i)(not found|manifest unknown|does not exist)`)
	noRight     = regexp.MustCompile(`(?i)(unauthorized|authentication required|denied|forbidden|no basic auth)`)
	otherChip   = regexp.MustCompile(`(?i)(no match for platform|no matching manifest|exec format error)`)
	away        = regexp.MustCompile(`(?i)(timeout|i/o timeout|connection refused|no such host|TLS handshake|dial tcp)`)
	missing     = regexp.MustCompile(`(?i)(configmap|secret) "([^"]+)" not found`)
	missingKey  = regexp.MustCompile(`(?i)couldn't find key (\S+) in (ConfigMap|Secret) (\S+)`)
)

// waitingFor says what a container that does not start waits for.
func waitingFor(what string, status corev1.ContainerStatus, spec *corev1.Container, w corev1.ContainerStateWaiting, say sayer) (Finding, bool) {
	message := oneLine(w.Message)
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageNeverPull":
		return image(what, status, spec, w.Reason, message, say), true
	case "InvalidImageName":
		return say(fatal, "Mend the image's name.", "%s %s: %q is no image name", what, status.Name, spec.Image), true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun":
		return config(what, status, w.Reason, message, say), true
	case "CrashLoopBackOff":
		if last := status.LastTerminationState.Terminated; last != nil {
			return say(failing, adviceFor(last), "%s %s crashes again and again (%d times): %s", what, status.Name, status.RestartCount, ended(last)), true
		}
		return say(failing, "See its logs.", "%s %s crashes again and again: %s", what, status.Name, message), true
	case "PodInitializing", "ContainerCreating", "":
		// What holds it up stands in events, or in another container.
		return Finding{}, false
	default:
		return say(waiting, "", "%s %s waits (%s): %s", what, status.Name, w.Reason, message), true
	}
}

func image(what string, status corev1.ContainerStatus, spec *corev1.Container, reason, message string, say sayer) Finding {
	switch {
	case reason == "ErrImageNeverPull":
		return say(fatal, "Bring the image to the node, or let it be pulled.", "%s %s: image %s is not on the node, and imagePullPolicy is Never", what, status.Name, spec.Image)
	case otherChip.MatchString(message):
		return say(fatal, "Build the image for the node's architecture too.", "%s %s: image %s is not made for this node's architecture", what, status.Name, spec.Image)
	case noRight.MatchString(message):
		return say(fatal, "Give the pod an imagePullSecret that may read it, or mend the name: a registry says so of what is not there, too.", "%s %s: the registry does not let image %s be pulled", what, status.Name, spec.Image)
	case noSuchImage.MatchString(message):
		return say(fatal, "Mend the image's name or tag, or push it.", "%s %s: image %s does not exist", what, status.Name, spec.Image)
	case away.MatchString(message):
		return say(failing, "See whether the node reaches the registry.", "%s %s: the registry of image %s does not answer", what, status.Name, spec.Image)
	default:
		return say(failing, "", "%s %s: image %s cannot be pulled: %s", what, status.Name, spec.Image, message)
	}
}

func config(what string, status corev1.ContainerStatus, reason, message string, say sayer) Finding {
	if found := missing.FindStringSubmatch(message); found != nil {
		kind := map[string]string{"configmap": "ConfigMap", "secret": "Secret"}[strings.ToLower(found[1])]
		return say(fatal, "Bring it with this bundle or before it (dependsOn), or mend the name.", "%s %s: %s %s does not exist", what, status.Name, kind, found[2])
	}
	if found := missingKey.FindStringSubmatch(message); found != nil {
		return say(fatal, "Add the key, or mend its name.", "%s %s: %s %s has no key %s", what, status.Name, found[2], found[3], found[1])
	}
	if strings.Contains(message, "runAsNonRoot") {
		return say(fatal, "Set runAsUser to a user that is not 0, or use an image that runs as one.", "%s %s may not run as root, and its image does", what, status.Name)
	}
	return say(fatal, "", "%s %s cannot be started (%s): %s", what, status.Name, reason, message)
}

// ended says how a container ended.
func ended(t *corev1.ContainerStateTerminated) string {
	text := ""
	switch {
	case t.Reason == "OOMKilled":
		text = "was stopped as it used more memory than its limit"
	case t.Signal != 0:
		text = "was ended by signal " + signal(int(t.Signal))
	case t.ExitCode > 128 && t.ExitCode < 160:
		text = "was ended by signal " + signal(int(t.ExitCode)-128)
	case t.ExitCode == 127:
		text = "ended with code 127: its command was not found"
	case t.ExitCode == 126:
		text = "ended with code 126: its command cannot be run"
	default:
		text = "ended with code " + itoa(int(t.ExitCode))
	}
	if message := oneLine(t.Message); message != "" {
		text += ": " + message
	}
	return text
}

func adviceFor(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == "OOMKilled":
		return "Raise resources.limits.memory, or find out what takes it."
	case t.ExitCode == 127 || t.ExitCode == 126:
		return "Mend command in the container."
	case otherChip.MatchString(t.Message):
		return "Build the image for the node's architecture too."
	default:
		return "See its logs: periplus logs --previous."
	}
}

// probe says which probe of a running container fails, from its latest event.
func probe(what string, status corev1.ContainerStatus, events []Event, say sayer) (Finding, bool) {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if e.Reason != "Unhealthy" && e.Reason != "ProbeWarning" {
			continue
		}
		for _, kind := range []string{"Startup", "Liveness", "Readiness"} {
			if detail, ok := strings.CutPrefix(e.Message, kind+" probe failed: "); ok {
				return say(failing, "Mend what it asks for, or the probe.", "%s %s: its %s probe fails: %s", what, status.Name, strings.ToLower(kind), oneLine(detail)), true
			}
			if strings.HasPrefix(e.Message, kind+" probe ") {
				return say(failing, "Mend what it asks for, or the probe.", "%s %s: its %s probe fails: %s", what, status.Name, strings.ToLower(kind), oneLine(e.Message)), true
			}
		}
	}
	return Finding{}, false
}
