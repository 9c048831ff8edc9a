package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Metadata is what the METADATA block before a policy's package says.
type Metadata struct {
	Title, Description string
	// Kinds as "Kind" (core group), "Kind.group", "*.group" or "*"; none is every kind.
	Kinds      []string
	Severity   string
	Points     []string
	Action     v1alpha1.PolicyAction
	Parameters map[string]any
	// Schema of the parameters; nil where the kinds of their defaults are all that is known.
	Schema      map[string]any
	Remediation string
	Controls    []string
	// FailurePolicy is what an API server does while nobody answers for the policy at admission: Ignore (the default) lets
	// objects pass, Fail refuses them.
	FailurePolicy string
}

// What happens at admission while nobody answers.
const (
	FailurePolicyIgnore = "Ignore"
	FailurePolicyFail   = "Fail"
)

var (
	actions    = []v1alpha1.PolicyAction{v1alpha1.PolicyDeny, v1alpha1.PolicyWarn, v1alpha1.PolicyAudit}
	points     = []string{PointCommit, PointGate, PointAdmission, PointAudit}
	severities = []string{"low", "medium", "high", "critical"}
	kindForm   = regexp.MustCompile(`^(\*|[A-Z][A-Za-z0-9]*)(\.[a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$`)
)

// custom is the shape of METADATA's custom block; a type other than these is an error of decoding.
type custom struct {
	Input         string                `json:"input"`
	Kinds         []string              `json:"kinds"`
	Severity      string                `json:"severity"`
	Points        []string              `json:"points"`
	Action        v1alpha1.PolicyAction `json:"action"`
	Parameters    map[string]any        `json:"parameters"`
	Schema        map[string]any        `json:"schema"`
	Remediation   string                `json:"remediation"`
	Controls      []string              `json:"controls"`
	FailurePolicy string                `json:"failurePolicy"`
}

var customKeys = []string{"input", "kinds", "severity", "points", "action", "parameters", "schema", "remediation", "controls", "failurePolicy"}

// fieldError is a mistake in one key of the custom block.
type fieldError struct {
	key, message string
}

func (e fieldError) Error() string { return e.message }

// undeclared is what METADATA without a custom block says: the package is conftest's. It is asked where files are, as conftest
// is: no kind is named, and agents would have to watch all of them.
func undeclared(a *ast.Annotations) Metadata {
	return Metadata{Title: a.Title, Description: a.Description, Severity: "medium", Points: []string{PointCommit, PointGate}, Action: v1alpha1.PolicyDeny,
		FailurePolicy: FailurePolicyIgnore}
}

func parseMetadata(a *ast.Annotations) (Metadata, error) {
	if len(a.Custom) == 0 {
		return undeclared(a), nil
	}
	for _, key := range slices.Sorted(maps.Keys(a.Custom)) {
		if !slices.Contains(customKeys, key) {
			return Metadata{}, fieldError{key, fmt.Sprintf("unknown key custom.%s; known are %s", key, strings.Join(customKeys, ", "))}
		}
	}
	data, err := json.Marshal(a.Custom)
	if err != nil {
		return Metadata{}, fieldError{"custom", fmt.Sprintf("cannot read custom: %v", err)}
	}
	var c custom
	if err := json.Unmarshal(data, &c); err != nil {
		key := "custom"
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			key, _, _ = strings.Cut(wrong.Field, ".")
			return Metadata{}, fieldError{key, fmt.Sprintf("custom.%s must not be a %s", wrong.Field, wrong.Value)}
		}
		return Metadata{}, fieldError{key, fmt.Sprintf("cannot read custom: %v", err)}
	}
	if err := c.check(); err != nil {
		return Metadata{}, err
	}
	m := Metadata{Title: a.Title, Description: a.Description, Kinds: c.Kinds, Severity: c.Severity, Points: c.Points,
		Action: c.Action, Parameters: c.Parameters, Schema: c.Schema, Remediation: c.Remediation, Controls: c.Controls,
		FailurePolicy: cmp.Or(c.FailurePolicy, FailurePolicyIgnore)}
	if c.Schema != nil {
		m.Parameters, _ = defaulted(orEmpty(anyMap(c.Parameters)), c.Schema).(map[string]any)
		if wrong := conforms(m.Parameters, c.Schema, false); wrong != nil {
			return Metadata{}, fieldError{"parameters", fmt.Sprintf("custom.parameters%s %s", wrong.field, wrong.message)}
		}
	}
	if m.Severity == "" {
		m.Severity = "medium"
	}
	if m.Action == "" {
		m.Action = v1alpha1.PolicyDeny
	}
	if len(m.Points) == 0 {
		m.Points = slices.Clone(points)
	}
	return m, nil
}

func (c custom) check() error {
	switch c.Input {
	case "periplus", "conftest":
	case "":
		return fieldError{"input", "custom.input is required: write input: periplus"}
	case "review":
		return fieldError{"input", "custom.input review is not supported: put what reads input.review into a ConstraintTemplate"}
	default:
		return fieldError{"input", fmt.Sprintf("unknown custom.input %q; known are periplus, conftest", c.Input)}
	}
	for _, kind := range c.Kinds {
		if !kindForm.MatchString(kind) {
			return fieldError{"kinds", fmt.Sprintf("custom.kinds: %q is not Kind, Kind.group, *.group or *", kind)}
		}
	}
	for _, point := range c.Points {
		if !slices.Contains(points, point) {
			return fieldError{"points", fmt.Sprintf("custom.points: unknown point %q; known are %s", point, strings.Join(points, ", "))}
		}
	}
	if c.Severity != "" && !slices.Contains(severities, c.Severity) {
		return fieldError{"severity", fmt.Sprintf("unknown custom.severity %q; known are %s", c.Severity, strings.Join(severities, ", "))}
	}
	if c.FailurePolicy != "" && c.FailurePolicy != FailurePolicyIgnore && c.FailurePolicy != FailurePolicyFail {
		return fieldError{"failurePolicy", fmt.Sprintf("unknown custom.failurePolicy %q; known are Ignore, Fail", c.FailurePolicy)}
	}
	if c.Action != "" && !slices.Contains(actions, c.Action) {
		return fieldError{"action", fmt.Sprintf("unknown custom.action %q; known are deny, warn, audit", c.Action)}
	}
	return nil
}

// customLine is the line of a key of the custom block, or of the block itself.
func customLine(text string, from int, key string) int {
	form := regexp.MustCompile(`^#\s+["']?` + regexp.QuoteMeta(key) + `["']?\s*:`)
	for i, line := range strings.Split(text, "\n") {
		if i+1 >= from && form.MatchString(line) {
			return i + 1
		}
	}
	return from
}
