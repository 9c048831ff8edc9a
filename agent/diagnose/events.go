package diagnose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// signals that end containers, by number.
var signals = map[int]string{6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}

func signal(number int) string {
	if name, ok := signals[number]; ok {
		return name
	}
	return itoa(number)
}

func itoa(number int) string { return strconv.Itoa(number) }

var (
	quota       = regexp.MustCompile(`exceeded quota: ([^,]+), requested: ([^,]+(?:,[^,=]+=[^,]+)*), used: ([^ ]+), limited: (\S+)`)
	noAccount   = regexp.MustCompile(`serviceaccount "([^"]+)" not found`)
	byWebhook   = regexp.MustCompile(`admission webhook "([^"]+)" denied the request:? ?(.*)`)
	podSecurity = regexp.MustCompile(`violates PodSecurity "([^"]+)": (.*)`)
	limitRange  = regexp.MustCompile(`is forbidden: (\[?(?:minimum|maximum) .*)`)
	noVolume    = regexp.MustCompile(`(?i)(configmap|secret) "([^"]+)" not found`)
)

// fromEvents says what holds up a pod whose containers do not say so themselves.
func fromEvents(events []Event, say sayer) []Finding {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		switch {
		case e.Reason == "FailedMount" || e.Reason == "FailedAttachVolume" || e.Reason == "FailedMapVolume":
			if found := noVolume.FindStringSubmatch(e.Message); found != nil {
				kind := map[string]string{"configmap": "ConfigMap", "secret": "Secret"}[strings.ToLower(found[1])]
				return []Finding{say(fatal, "Bring it with this bundle or before it (dependsOn), or mend the name.", "a volume needs %s %s, which does not exist", kind, found[2])}
			}
			return []Finding{say(stuck, "", "a volume cannot be mounted: %s", oneLine(e.Message))}
		case e.Reason == "FailedCreatePodSandBox" || e.Reason == "NetworkNotReady":
			return []Finding{say(stuck, "The network of the node is not ready: see its network plugin.", "the network of the pod cannot be made: %s", oneLine(e.Message))}
		case e.Warning:
			return []Finding{say(waiting, "", "%s: %s", e.Reason, oneLine(e.Message))}
		}
	}
	return nil
}

// ownerFindings are reasons that the cluster tells about what makes pods, claims and the like: no pod is there to tell them.
func ownerFindings(events []Event) []Finding {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if !e.Warning {
			continue
		}
		f := Finding{Cause: e.About, weight: stuck}
		what := e.About.Kind + " " + e.About.Name
		switch {
		case e.Reason == "FailedCreate" || e.Reason == "ReplicaSetCreateError" || e.Reason == "FailedDaemonPod":
			f.weight = fatal
			f.Message, f.Advice = refused(what, e.Message)
		case e.About.Kind == "PersistentVolumeClaim":
			f.Message, f.Advice = claim(what, e)
		case e.Reason == "BackoffLimitExceeded":
			f.Message, f.Advice = what+" failed as often as it may", "See the logs of its pods; raise spec.backoffLimit where more tries help."
		case e.Reason == "DeadlineExceeded":
			f.Message, f.Advice = what+" ran longer than it may", "Raise spec.activeDeadlineSeconds, or find out what takes so long."
		default:
			f.weight = hint
			f.Message = fmt.Sprintf("%s: %s: %s", what, e.Reason, oneLine(e.Message))
		}
		return []Finding{f}
	}
	return nil
}

// refused says why pods cannot be made.
func refused(what, message string) (words, advice string) {
	message = oneLine(message)
	if found := quota.FindStringSubmatch(message); found != nil {
		return fmt.Sprintf("%s cannot make pods: ResourceQuota %s is used up: it asks for %s, %s of %s is used", what, found[1], found[2], found[3], found[4]),
			"Raise the quota, or ask for less."
	}
	if found := noAccount.FindStringSubmatch(message); found != nil {
		return fmt.Sprintf("%s cannot make pods: ServiceAccount %s does not exist", what, found[1]), "Bring the ServiceAccount with this bundle or before it (dependsOn), or mend its name."
	}
	if found := podSecurity.FindStringSubmatch(message); found != nil {
		return fmt.Sprintf("%s cannot make pods: the namespace's Pod Security %s refuses them: %s", what, found[1], found[2]), "Mend the security context, or the namespace's label."
	}
	if found := byWebhook.FindStringSubmatch(message); found != nil {
		return fmt.Sprintf("%s cannot make pods: webhook %s refuses them: %s", what, found[1], found[2]), "Mend what it names, or ask whoever runs the webhook."
	}
	if found := limitRange.FindStringSubmatch(message); found != nil {
		return fmt.Sprintf("%s cannot make pods: a LimitRange refuses them: %s", what, found[1]), "Set resources within the LimitRange."
	}
	return fmt.Sprintf("%s cannot make pods: %s", what, message), ""
}

// claim says why a claim has no volume.
func claim(what string, e Event) (words, advice string) {
	message := oneLine(e.Message)
	switch {
	case strings.Contains(message, "storageclass.storage.k8s.io") && strings.Contains(message, "not found"):
		return fmt.Sprintf("%s has no volume: its StorageClass does not exist: %s", what, message), "Make the StorageClass, or name another in spec.storageClassName."
	case strings.Contains(message, "no persistent volumes available") || strings.Contains(message, "no storage class is set"):
		return fmt.Sprintf("%s has no volume: it names no StorageClass, and no volume fits", what), "Name a StorageClass, or make one the default."
	case e.Reason == "ProvisioningFailed":
		return fmt.Sprintf("%s has no volume: its provisioner fails: %s", what, message), "See the logs of the storage driver."
	default:
		return fmt.Sprintf("%s has no volume yet: %s", what, message), ""
	}
}
