package apply

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The API server's words for refusals that are not its own schema's. They have been the same for many versions, and where
// they are not, its words are told as they are.
var (
	webhookDenied  = regexp.MustCompile(`admission webhook "([^"]+)" denied the request(?: without explanation|: (?s:(.*)))`)
	webhookFailed  = regexp.MustCompile(`failed calling webhook "([^"]+)": (?s:(.*))`)
	policyDenied   = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request: (?s:(.*))`)
	quotaExceeded  = regexp.MustCompile(`exceeded quota: ([^,]+), requested: ([^ ]+(?:,[^ ]+)*), used: ([^ ]+(?:,[^ ]+)*), limited: ([^ ]+)`)
	quotaUntold    = regexp.MustCompile(`failed quota: ([^:]+): must specify (.*)`)
	limited        = regexp.MustCompile(`is forbidden: ((?:maximum|minimum) .* per .*)`)
	namespaceFault = regexp.MustCompile(`namespaces "([^"]+)" not found`)
	podSecurity    = regexp.MustCompile(`violates PodSecurity "([^"]+)": (.*)`)
)

// admission says in a person's words who refused an object and what to do; nil where it was none of those that are known.
// The words of a webhook are left out where they may quote what is secret.
func admission(err error, request Request, secret bool) error {
	text := err.Error()
	told := func(words string) string {
		if words = strings.TrimSpace(words); secret && words != "" {
			return "its reasons are not shown, as they may hold values"
		}
		return words
	}
	switch {
	case webhookDenied.MatchString(text):
		found := webhookDenied.FindStringSubmatch(text)
		if found[2] == "" {
			return fmt.Errorf("refused by webhook %q, which gives no reason", found[1])
		}
		return fmt.Errorf("refused by webhook %q: %s", found[1], told(found[2]))
	case webhookFailed.MatchString(text):
		found := webhookFailed.FindStringSubmatch(text)
		return fmt.Errorf("webhook %q cannot be asked, and nothing is applied without its word: %s", found[1], found[2])
	case policyDenied.MatchString(text):
		found := policyDenied.FindStringSubmatch(text)
		return fmt.Errorf("refused by ValidatingAdmissionPolicy %q (binding %q): %s", found[1], found[2], told(found[3]))
	case quotaExceeded.MatchString(text):
		found := quotaExceeded.FindStringSubmatch(text)
		return fmt.Errorf("quota %q of namespace %q is used up: it asks for %s, %s are in use, %s is the limit", found[1], request.ID.Namespace, found[2], found[3], found[4])
	case quotaUntold.MatchString(text):
		found := quotaUntold.FindStringSubmatch(text)
		return fmt.Errorf("quota %q of namespace %q asks that every object says %s", found[1], request.ID.Namespace, found[2])
	case podSecurity.MatchString(text):
		found := podSecurity.FindStringSubmatch(text)
		return fmt.Errorf("the pod security level of namespace %q (%s) forbids it: %s", request.ID.Namespace, found[1], found[2])
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("namespace %q is being deleted, nothing can be made in it until it is gone and made anew", request.ID.Namespace)
	case apierrors.IsForbidden(err) && limited.MatchString(text):
		return fmt.Errorf("a LimitRange of namespace %q forbids it: %s", request.ID.Namespace, limited.FindStringSubmatch(text)[1])
	case apierrors.IsNotFound(err) && namespaceFault.MatchString(text):
		return fmt.Errorf("namespace %q does not exist: declare it in the bundle, or in one that this one depends on", namespaceFault.FindStringSubmatch(text)[1])
	default:
		return nil
	}
}
