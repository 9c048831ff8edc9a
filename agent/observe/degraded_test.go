package observe

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRefusal(t *testing.T) {
	resource := schema.GroupResource{Group: "example.org", Resource: "widgets"}
	cases := map[string]struct {
		reason   string
		err      error
		failures int
		want     string
	}{
		"Forbidden":  {"told at once, with whom to grant it", apierrors.NewForbidden(resource, "", errors.New("no")), 1, `ServiceAccount "tenant" may not`},
		"Vanished":   {"told at once", apierrors.NewNotFound(resource, ""), 1, "serves it no more"},
		"Unwatched":  {"some kinds can only be read", apierrors.NewMethodNotSupported(resource, "watch"), 1, "one by one"},
		"Moment":     {"an API server that restarts is no news", errors.New("connection refused"), 1, ""},
		"Persistent": {"one that stays away is", errors.New("connection refused"), manyFailures, "does not answer"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := refusal(watchKey{account: "tenant"}, c.err, c.failures)
			if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("%s: %q", c.reason, got)
			}
		})
	}
}
