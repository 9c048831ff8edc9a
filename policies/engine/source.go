package engine

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// The points at which a policy may be evaluated.
const (
	PointCommit    = "commit"
	PointGate      = "gate"
	PointAdmission = "admission"
	PointAudit     = "audit"
)

// The results of a finding, in the words of OpenReports.
const (
	ResultFail  = "fail"
	ResultWarn  = "warn"
	ResultSkip  = "skip"
	ResultError = "error"
)

// Source is everything that a fleet repo says of policy.
type Source struct {
	Modules    []File
	Bindings   []Binding
	Exemptions []Exemption
	// Gatekeeper is ConstraintTemplates, Constraints and ExpansionTemplates.
	Gatekeeper []Manifest
}

// Manifest is a declared object and where it stands, as "file:line".
type Manifest struct {
	Object map[string]any
	Source string
}

// File is one file of the policies folder. Path is relative to the fleet repo's root.
type File struct {
	Path, Text string
}

// Binding is a PolicyBinding and where it stands, as "file:line".
type Binding struct {
	v1alpha1.PolicyBinding
	Source string
}

// Exemption is a PolicyExemption and where it stands, as "file:line".
type Exemption struct {
	v1alpha1.PolicyExemption
	Source string
}

// Cluster is what policies may know of the cluster that an object is for.
type Cluster struct {
	Name, Namespace string
	Labels          map[string]string
	Variables       map[string]any
	Version         string
}

// Input is one object under review.
type Input struct {
	Object map[string]any
	// DefaultNamespace stands in where a namespaced object names none.
	DefaultNamespace string
	Cluster          Cluster
}

// Finding is what one rule of one policy says of one object.
type Finding struct {
	Policy string
	// Action that is in force for the cluster: deny, warn or audit.
	Action v1alpha1.PolicyAction
	// Result: fail, warn, skip (exempt) or error.
	Result  string
	Message string
	// Rule is deny or warn, "" for an error of the policy itself.
	Rule string
	// File and Line of the first such rule, or of the package.
	File string
	Line int
	// Exemption that let a finding pass.
	Exemption string
}

// Sentence is what people are told of a finding, in the same words wherever it was found.
func (f Finding) Sentence(id content.ObjectID) string {
	verb := "warns of"
	switch {
	case f.Denies():
		verb = "denies"
	case f.Result == ResultSkip:
		verb = "passes, by exemption " + f.Exemption + ","
	case f.Action == v1alpha1.PolicyAudit:
		verb = "notes"
	}
	return fmt.Sprintf("policy %s %s %s: %s (%s:%d)", f.Policy, verb, id, f.Message, f.File, f.Line)
}

// ID tells apart what a policy says of one object.
func (f Finding) ID() string {
	sum := fnv.New64a()
	writeAll(sum, f.Rule, f.File, strconv.Itoa(f.Line), f.Message)
	return hex.EncodeToString(sum.Sum(nil))
}

// Denies says whether the finding holds its object back.
func (f Finding) Denies() bool {
	return f.Action == v1alpha1.PolicyDeny && (f.Result == ResultFail || f.Result == ResultError)
}
