// Package engine compiles a fleet repo's policies and evaluates them. It stands in the gate stage of the flow: package
// hub/gate calls it on rendered objects, the agent on what its cluster admits and holds, the CLI at commit; all of them
// with the same snapshot, so that a verdict is the same everywhere.
//
// A Snapshot is immutable. Load makes one from files and from the snapshot before it: what cannot be read is refused with
// file and line, and the policy's version of the earlier snapshot stays in force. An index by group and kind keeps a review
// from touching policies that cannot match.
//
// A policy reads input.object (without status), input.kind, input.group, input.name, input.namespace, input.containers,
// input.pod, input.parameters, input.cluster and input.commit; docs/reference/policy-input.md describes them. It can reach
// no network, environment, clock or randomness; time.now_ns is the time that the caller gives.
//
// Gatekeeper's ConstraintTemplates and Constraints are policies too: a template is compiled once for all its constraints, whose
// match is decided in Go before Rego is asked. They read input.review, input.parameters and data.inventory as they do there.
//
// Everything fails closed: an error of a policy whose action is deny denies.
package engine
