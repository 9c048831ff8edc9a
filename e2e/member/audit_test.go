package member

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseAudit(t *testing.T) {
	agent := `"user":{"username":"` + agentUser + `"}`
	cases := map[string]struct {
		reason, log string
		want        []Call
	}{
		"Others": {reason: "what others ask for does not count", log: `{"stage":"ResponseComplete","verb":"create","user":{"username":"somebody"}}` + "\n"},
		"Apply": {reason: "a call as the tenant is the agent's", want: []Call{{Verb: "patch", Resource: "configmaps", Tenant: true, Name: "c", Code: 201}},
			log: `{"stage":"ResponseComplete","verb":"patch",` + agent + `,"impersonatedUser":{"username":"t"},"objectRef":{"resource":"configmaps","name":"c"},"responseStatus":{"code":201}}` + "\n"},
		"Watch": {reason: "a watch counts when it begins, not again when it ends", want: []Call{{Verb: "watch", Resource: "configmaps", Code: 200}},
			log: `{"stage":"ResponseStarted","verb":"watch",` + agent + `,"objectRef":{"resource":"configmaps"},"responseStatus":{"code":200}}` + "\n" +
				`{"stage":"ResponseComplete","verb":"watch",` + agent + `,"objectRef":{"resource":"configmaps"},"responseStatus":{"code":200}}` + "\n"},
		"Subresource": {reason: "a subresource is a resource of its own", want: []Call{{Verb: "get", Resource: "pods/log", Code: 200}},
			log: `{"stage":"ResponseComplete","verb":"get",` + agent + `,"objectRef":{"resource":"pods","subresource":"log"},"responseStatus":{"code":200}}` + "\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parse([]byte(c.log))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Call{}, "Received")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}
