package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// evaluationLimit bounds the work of all policies on one object. Those that have not finished then fail closed.
const evaluationLimit = 2 * time.Second

// Cache keeps what policies said, so that equal questions are asked once. Findings in it are of all clusters alike:
// exemptions are applied after it. It must be safe for concurrent use; findings must not be changed.
type Cache interface {
	Get(key string) ([]Finding, bool)
	Put(key string, findings []Finding)
}

// Reviewer reviews objects for one cluster at one point. It is safe for concurrent use.
type Reviewer struct {
	snapshot *Snapshot
	cluster  Cluster
	point    string
	now      time.Time
	terms    map[string]*boundPolicy
	// clusterTerm and commitTerm are shared by all inputs.
	clusterTerm, commitTerm *ast.Term
	options                 options
}

// boundPolicy is a policy as it stands on the reviewer's cluster.
type boundPolicy struct {
	*Policy
	action     v1alpha1.PolicyAction
	parameters *ast.Term
	problem    error
	// base is what it finds below data beside packages.
	base base
	// key of everything but the object that the verdict depends on; "" where verdicts are not shared.
	key string
}

// Review evaluates the policies that concern an object, for a cluster, at a point. Findings are sorted; an object that
// nothing is wrong with has none. The error is of the caller's making: a context that ended, an object that is none.
func (s *Snapshot) Review(ctx context.Context, in Input, commit, point string, now time.Time) ([]Finding, error) {
	reviewer, err := s.Reviewer(in.Cluster, commit, point, now)
	if err != nil {
		return nil, err
	}
	object, err := Prepare(in.Object, in.DefaultNamespace)
	if err != nil {
		return nil, err
	}
	return reviewer.Review(ctx, object, "", nil)
}

// Reviewer prepares reviews for one cluster.
func (s *Snapshot) Reviewer(cluster Cluster, commit, point string, now time.Time) (*Reviewer, error) {
	if s == nil {
		s = &Snapshot{}
	}
	converted, err := ast.InterfaceToValue(cluster.fields())
	if err != nil {
		return nil, fmt.Errorf("cannot convert the fields of cluster %q: %w", cluster.Name, err)
	}
	r := &Reviewer{snapshot: s, cluster: cluster, point: point, now: now, terms: map[string]*boundPolicy{},
		clusterTerm: ast.NewTerm(converted), commitTerm: ast.StringTerm(commit)}
	parameters := map[string]*ast.Term{}
	for _, p := range s.Policies() {
		b := &boundPolicy{Policy: p}
		effective, problem := s.Effective(p, cluster.Labels)
		b.action, b.problem = effective.Action, problem
		if p.constraint != nil && p.constraint.actions[point] != "" && b.action == p.Metadata.Action {
			b.action = p.constraint.actions[point]
		}
		// Policies with equal parameters share their term, and so their input.
		text := encode(effective.Parameters)
		if b.parameters = parameters[text]; b.parameters == nil {
			converted, err := ast.InterfaceToValue(effective.Parameters)
			if err != nil {
				return nil, fmt.Errorf("cannot convert the parameters of policy %q: %w", p.Name, err)
			}
			b.parameters = ast.NewTerm(converted)
			parameters[text] = b.parameters
		}
		if b.base = s.nothing; p.shape == conftest && len(effective.Parameters) > 0 {
			b.base = baseOf(effective.Parameters)
		}
		seen, err := p.Reads.of(cluster, commit)
		if err != nil {
			return nil, fmt.Errorf("cannot encode the fields of cluster %q: %w", cluster.Name, err)
		}
		if !p.Reads.Time && problem == nil {
			sum := sha256.New()
			writeAll(sum, p.Name, p.Digest, string(b.action), text, seen)
			b.key = hex.EncodeToString(sum.Sum(nil))
		}
		r.terms[p.Name] = b
	}
	return r, nil
}

// Review is Snapshot.Review for a prepared object. With a cache and a digest of the object, verdicts are shared.
func (r *Reviewer) Review(ctx context.Context, object *Object, digest string, cache Cache) ([]Finding, error) {
	w := newWork(ctx, r)
	defer w.end()
	all, err := r.each(w, r.snapshot.index.find(object.ID.Group, object.ID.Kind), object, object.ID, digest, cache)
	if err != nil || len(r.snapshot.expansions) == 0 || object.generated {
		return all, err
	}
	own := len(all)
	for _, one := range r.snapshot.expand(object, digest) {
		found, err := r.implied(w, one, object, cache)
		if err != nil {
			return nil, err
		}
		all = append(all, one.by.implies(found)...)
	}
	if len(all) > own {
		slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(a.Policy, b.Policy) })
	}
	return all, nil
}

// implied asks constraints about what would be made of an object. Other policies see its containers in the object itself.
func (r *Reviewer) implied(w *work, one impliedObject, of *Object, cache Cache) ([]Finding, error) {
	var constraints []*Policy
	for _, p := range r.snapshot.index.find(one.made.Group, one.made.Kind) {
		if p.constraint != nil {
			constraints = append(constraints, p)
		}
	}
	if one.problem == nil {
		return r.each(w, constraints, one.Object, of.ID, one.digest, cache)
	}
	var all []Finding
	for _, p := range constraints {
		if slices.Contains(p.Metadata.Points, r.point) && p.constraint.match.Source != "Original" {
			all = append(all, r.terms[p.Name].finding("", ResultError, of, one.problem.Error()))
		}
	}
	return all, nil
}

// each asks policies about an object. Exemptions are those of the object with an identity.
func (r *Reviewer) each(w *work, policies []*Policy, object *Object, id content.ObjectID, digest string, cache Cache) ([]Finding, error) {
	var all []Finding
	for _, p := range policies {
		if !slices.Contains(p.Metadata.Points, r.point) || p.shape == conftest && !p.declared && object.ID.Group == v1alpha1.Group {
			continue
		}
		if p.constraint != nil {
			is, problem := r.concerns(p, object)
			if problem != nil {
				all = append(all, r.exempt(p.Name, id, problem)...)
			}
			if !is {
				continue
			}
		}
		findings, err := r.verdict(w, r.terms[p.Name], object, digest, cache)
		if err != nil {
			return nil, err
		}
		all = append(all, r.exempt(p.Name, id, findings)...)
	}
	return all, nil
}

// concerns says whether a constraint is asked about an object, or gives the finding that it cannot be.
func (r *Reviewer) concerns(p *Policy, object *Object) (bool, []Finding) {
	is, unknown := p.constraint.match.concerns(object, r.point)
	unseen := p.constraint.inventory && len(p.constraint.blind) == 0 && object.inventory == nil
	b := r.terms[p.Name]
	switch {
	case !is, object.operation != "" && !among(p.constraint.operations, object.operation), unseen && (r.point == PointCommit || r.point == PointGate):
		// Nobody knows there what else a cluster holds; rules that find nothing would take all for missing.
		return false, nil
	case unknown:
		message := fmt.Sprintf("policy %q selects namespaces by their labels, and those of namespace %q are not known here", p.Name, object.ID.Namespace)
		return false, []Finding{b.finding("", ResultError, object, message)}
	case unseen:
		// It says so and denies nothing: it would deny everything.
		f := b.finding("", ResultError, object, fmt.Sprintf("policy %q reads data.inventory, which is not known here: it was not asked", p.Name))
		f.Action = v1alpha1.PolicyAudit
		return false, []Finding{f}
	}
	return true, nil
}

func (r *Reviewer) verdict(w *work, p *boundPolicy, object *Object, digest string, cache Cache) ([]Finding, error) {
	key := ""
	seen := p.shape == review && p.constraint.inventory && object.inventory != nil
	if cache != nil && digest != "" && p.key != "" && !seen {
		key = p.key + " " + object.ID.Namespace + " " + digest
		if p.shape == review && object.namespace != nil {
			key += " " + digestText("namespace", encode(object.namespace))
		}
		if findings, known := cache.Get(key); known {
			return findings, nil
		}
	}
	findings, lasting, err := r.evaluate(w, p, object)
	if err != nil {
		return nil, err
	}
	if key != "" && lasting {
		cache.Put(key, findings)
	}
	return findings, nil
}

func (r *Reviewer) exempt(policy string, id content.ObjectID, findings []Finding) []Finding {
	if len(findings) == 0 {
		return nil
	}
	name := r.snapshot.exemptionFor(policy, id, r.cluster, r.now)
	if name == "" {
		return findings
	}
	passed := slices.Clone(findings)
	for i := range passed {
		// An error is not what the exemption's author looked at.
		if passed[i].Result != ResultError && passed[i].Result != ResultSkip {
			passed[i].Result, passed[i].Exemption = ResultSkip, name
		}
	}
	return passed
}

// evaluate asks one policy. lasting is false where the same question may get another answer.
func (r *Reviewer) evaluate(w *work, p *boundPolicy, object *Object) (findings []Finding, lasting bool, err error) {
	failed := func(format string, args ...any) []Finding {
		return []Finding{p.finding("", ResultError, object, fmt.Sprintf(format, args...))}
	}
	if p.problem != nil {
		return failed("%v", p.problem), false, nil
	}
	defer func() {
		if problem := recover(); problem != nil {
			findings, lasting, err = failed("cannot evaluate policy %q: %v", p.Name, problem), false, nil
		}
	}()
	input, err := p.input(w, object, r)
	if err != nil {
		return failed("%v", err), false, nil
	}
	queries := p.asks(object)
	for i := range queries {
		q := &queries[i]
		w.errs = nil
		value, err := q.ask(w, p.base, input, r.now)
		switch {
		case w.ctx.Err() != nil:
			return nil, false, context.Cause(w.ctx)
		case err != nil && w.expired():
			return failed("policy %q did not finish within the %s that a review has", p.Name, evaluationLimit), false, nil
		case err != nil:
			return failed("cannot evaluate policy %q: %v", p.Name, err), true, nil
		}
		findings = p.read(findings, q.rule, value, w.errs, object)
	}
	if len(findings) > 0 && p.exceptions != nil {
		w.errs = nil
		exceptions, err := p.exceptions.ask(w, p.base, input, r.now)
		if err != nil {
			return failed("cannot evaluate the exceptions of policy %q: %v", p.Name, err), false, nil
		}
		p.except(findings, exceptions)
	}
	if len(findings) > 1 {
		findings = sorted(findings)
	}
	return findings, true, nil
}

// asks are the queries for an object.
func (p *boundPolicy) asks(object *Object) []query {
	if p.shape == review && p.constraint.inventory && object.inventory == nil {
		return p.constraint.blind
	}
	return p.queries
}

// input of the policy: Gatekeeper's have their own.
func (p *boundPolicy) input(w *work, object *Object, r *Reviewer) (*ast.Term, error) {
	switch p.shape {
	case review:
		return object.admission(p.constraint.template, p.parameters)
	case conftest:
		return object.whole, nil
	}
	input, known := w.inputs[p.parameters]
	if !known {
		input = object.with(p.parameters, r.clusterTerm, r.commitTerm)
		if w.inputs == nil {
			w.inputs = map[*ast.Term]*ast.Term{}
		}
		w.inputs[p.parameters] = input
	}
	return input, nil
}

// read turns a rule's set into findings.
func (p *boundPolicy) read(findings []Finding, rule string, value *ast.Term, builtinErrors []topdown.Error, object *Object) []Finding {
	switch {
	case isList(value):
		for _, entry := range listed(value) {
			findings = append(findings, p.found(rule, entry, object))
		}
	case value == nil && p.shape == conftest:
		// A complete rule that makes a list is undefined where it finds nothing.
	default:
		// Sets are defined even when they are empty: no result is no verdict.
		findings = append(findings, p.finding("", ResultError, object, fmt.Sprintf("policy %q gave no result", p.Name)))
	}
	for _, e := range builtinErrors {
		message := fmt.Sprintf("policy %q: %s", p.Name, e.Message)
		f := p.finding("", ResultError, object, message)
		if e.Location != nil {
			f.File, f.Line = e.Location.File, e.Location.Row
		}
		findings = append(findings, f)
	}
	return findings
}

func sorted(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(findings)
}

// except lets findings pass that an exception of their own package lifts.
func (p *boundPolicy) except(findings []Finding, exceptions *ast.Term) {
	where := p.rules[exceptionRule]
	for i, f := range findings {
		if f.Result != ResultError && excepted(exceptions, f.Rule) {
			findings[i].Result, findings[i].Exemption = ResultSkip, fmt.Sprintf("exception at %s:%d", where.File, where.Row)
		}
	}
}

var keyMessage = ast.StringTerm("msg")

// found is a finding of one entry of a set: a message, or an object with msg.
func (p *boundPolicy) found(rule string, entry *ast.Term, object *Object) Finding {
	text, ok := entry.Value.(ast.String)
	if details, is := entry.Value.(ast.Object); is {
		if message := details.Get(keyMessage); message != nil {
			text, ok = message.Value.(ast.String)
		}
	}
	message := string(text)
	if !ok {
		return p.finding(rule, ResultError, object, fmt.Sprintf("policy %q: %s holds something that is neither a message nor an object with msg", p.Name, rule))
	}
	result := ResultFail
	if warns(rule) || p.action == v1alpha1.PolicyWarn {
		result = ResultWarn
	}
	return p.finding(rule, result, object, message)
}

func (p *boundPolicy) finding(rule, result string, object *Object, message string) Finding {
	f := Finding{Policy: p.Name, Action: p.action, Result: result, Message: oneLine(message), Rule: rule, File: p.File, Line: p.Line}
	// A warn rule never denies, whatever the policy's action.
	if warns(rule) && result != ResultError && f.Action == v1alpha1.PolicyDeny {
		f.Action = v1alpha1.PolicyWarn
	}
	if where := p.rules[rule]; where != nil {
		f.File, f.Line = where.File, where.Row
	}
	if object.secrets != nil {
		f.Message = oneLine(object.secrets.Replace(message))
	}
	return f
}
