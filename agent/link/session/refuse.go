package session

import (
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// refuses says why this agent cannot carry out an entry; "" when it can. A field that it does not know may change what the
// entry means, so it counts like a missing capability.
func (m *Machine) refuses(entry *linkv1.Entry) string {
	namespace, name, ok := strings.Cut(entry.GetBundle(), "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Sprintf("%.200q is no bundle: it must be namespace/name", entry.GetBundle())
	}
	if err := content.Digest(entry.GetRevision()).Validate(); err != nil {
		return "revision: " + err.Error()
	}
	for _, capability := range entry.GetRequiredCapabilities() {
		if !m.caps[capability] {
			return fmt.Sprintf("this agent (%s) lacks the capability %q: upgrade the agent", m.config.AgentVersion, capability)
		}
	}
	if len(entry.ProtoReflect().GetUnknown()) > 0 || len(entry.GetOptions().ProtoReflect().GetUnknown()) > 0 {
		return fmt.Sprintf("the entry has options that this agent (%s) does not know: upgrade the agent", m.config.AgentVersion)
	}
	if policies := entry.GetOptions().GetPolicies(); policies != nil && len(policies.ProtoReflect().GetUnknown()) > 0 {
		return fmt.Sprintf("the policies come with something that this agent (%s) does not know: upgrade the agent", m.config.AgentVersion)
	}
	for _, ignore := range entry.GetOptions().GetDriftIgnore() {
		if len(ignore.ProtoReflect().GetUnknown()) > 0 {
			return fmt.Sprintf("the entry has options that this agent (%s) does not know: upgrade the agent", m.config.AgentVersion)
		}
	}
	return ""
}
