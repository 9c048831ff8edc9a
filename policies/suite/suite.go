// Package suite runs Gatekeeper's Suites (suite.yaml): a template, a constraint, and objects of which their author states how
// many violations they have. It evaluates with package engine, as every point of the flow does, so that a Suite that passes
// here says what the gate will do.
package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/policies/engine"
)

// Result of one case.
type Result struct {
	// File of the Suite, its Test and the Case.
	File, Test, Case string
	Passed, Skipped  bool
	// Message says why it did not pass.
	Message string
}

type suiteFile struct {
	Kind  string
	Skip  bool
	Tests []test
}

type test struct {
	Name, Template, Constraint, Expansion string
	Invalid, Skip                         bool
	Cases                                 []testCase
}

type testCase struct {
	Name, Object string
	Inventory    []string
	Skip         bool
	Assertions   []assertion
}

type assertion struct {
	// Violations is yes, no or a number; YAML 1.1 reads unquoted words as booleans.
	Violations any
	Message    *string
}

// Is says whether a file is a Suite.
func Is(data []byte) bool {
	var head struct{ APIVersion, Kind string }
	return yaml.Unmarshal(data, &head) == nil && head.Kind == "Suite" && strings.HasPrefix(head.APIVersion, "test.gatekeeper.sh/")
}

// Run runs one Suite of a tree. The error says that it cannot be read; mistakes of single tests are results.
func Run(ctx context.Context, tree fs.FS, file string, now time.Time) ([]Result, error) {
	data, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, err
	}
	var s suiteFile
	if err := yaml.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("cannot read Suite %q: %w", file, err)
	}
	var out []Result
	for _, t := range s.Tests {
		out = append(out, (&run{ctx: ctx, tree: tree, file: file, now: now}).test(t, s.Skip)...)
	}
	return out, ctx.Err()
}

type run struct {
	ctx  context.Context
	tree fs.FS
	file string
	now  time.Time
}

func (r *run) test(t test, skip bool) []Result {
	of := Result{File: r.file, Test: t.Name}
	if skip || t.Skip {
		of.Skipped = true
		return []Result{of}
	}
	snapshot, err := r.load(t)
	switch {
	case t.Invalid:
		of.Passed = err != nil
		if err == nil {
			of.Message = "the template and the constraint are valid, and should not be"
		}
		return []Result{of}
	case err != nil:
		of.Message = err.Error()
		return []Result{of}
	}
	var out []Result
	for _, c := range t.Cases {
		result := of
		result.Case = c.Name
		if c.Skip {
			result.Skipped = true
		} else if err := r.check(c, snapshot); err != nil {
			result.Message = err.Error()
		} else {
			result.Passed = true
		}
		out = append(out, result)
	}
	return out
}

// load makes a snapshot of a test's template, constraint and expansion alone.
func (r *run) load(t test) (*engine.Snapshot, error) {
	var source engine.Source
	names := []string{t.Template, t.Constraint}
	if t.Expansion != "" {
		names = append(names, t.Expansion)
	}
	for _, name := range names {
		objects, err := r.read(name)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			source.Gatekeeper = append(source.Gatekeeper, engine.Manifest{Object: object, Source: r.at(name) + ":1"})
		}
	}
	snapshot, refused := engine.Load(source, nil)
	if len(refused) > 0 {
		return nil, fmt.Errorf("%s:%d: %s", refused[0].File, refused[0].Line, refused[0].Message)
	}
	return snapshot, nil
}

func (r *run) at(name string) string { return path.Join(path.Dir(r.file), name) }

// documents are separated by lines of dashes.
var documents = regexp.MustCompile(`(?m)^---.*$`)

func (r *run) read(name string) ([]map[string]any, error) {
	if name == "" {
		return nil, errors.New("the test names no template, constraint or object")
	}
	data, err := fs.ReadFile(r.tree, r.at(name))
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for _, text := range documents.Split(string(data), -1) {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", r.at(name), err)
		}
		if len(object) > 0 {
			out = append(out, object)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no object in %q", r.at(name))
	}
	return out, nil
}

// check reviews a case's object.
func (r *run) check(c testCase, snapshot *engine.Snapshot) error {
	objects, err := r.read(c.Object)
	if err != nil {
		return err
	}
	if len(objects) != 1 {
		return fmt.Errorf("%q holds %d objects: a case has one", r.at(c.Object), len(objects))
	}
	request, err := admission(objects[0])
	if err != nil {
		return err
	}
	var held []map[string]any
	for _, name := range c.Inventory {
		more, err := r.read(name)
		if err != nil {
			return err
		}
		held = append(held, more...)
	}
	if request.Inventory, err = engine.Inventory(held); err != nil {
		return err
	}
	request.Namespace = namespaceOf(request.Object, held)
	messages, err := r.review(snapshot, request)
	if err != nil {
		return err
	}
	if len(c.Assertions) == 0 {
		return errors.New("the case asserts nothing")
	}
	for _, a := range c.Assertions {
		if err := a.check(messages); err != nil {
			return err
		}
	}
	return nil
}

// review gives the messages of violations. What built-in functions fail on is no violation, as in Gatekeeper, where the rule
// is undefined then.
func (r *run) review(snapshot *engine.Snapshot, request engine.Admission) ([]string, error) {
	object, err := engine.PrepareAdmission(request, "")
	if err != nil {
		return nil, err
	}
	// Every point, since a scoped constraint may leave out any.
	seen := map[string]bool{}
	var out []string
	for _, point := range []string{engine.PointAdmission, engine.PointCommit, engine.PointAudit} {
		reviewer, err := snapshot.Reviewer(engine.Cluster{}, "", point, r.now)
		if err != nil {
			return nil, err
		}
		findings, err := reviewer.Review(r.ctx, object, "", nil)
		if err != nil {
			return nil, err
		}
		for _, f := range findings {
			if f.Result != engine.ResultError && !seen[f.Policy+f.Message] {
				seen[f.Policy+f.Message] = true
				out = append(out, f.Message)
			}
		}
	}
	return out, nil
}

// admission is the request that a case's object stands for: itself, or an AdmissionReview.
func admission(object map[string]any) (engine.Admission, error) {
	if object["kind"] != "AdmissionReview" {
		return engine.Admission{Object: object}, nil
	}
	request, _ := object["request"].(map[string]any)
	if request == nil {
		return engine.Admission{}, errors.New("the AdmissionReview has no request")
	}
	var a engine.Admission
	a.Object, _ = request["object"].(map[string]any)
	a.OldObject, _ = request["oldObject"].(map[string]any)
	a.Operation, _ = request["operation"].(string)
	a.UserInfo, _ = request["userInfo"].(map[string]any)
	return a, nil
}

// namespaceOf finds the Namespace of an object among others.
func namespaceOf(object map[string]any, held []map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	for _, one := range held {
		its, _ := one["metadata"].(map[string]any)
		if one["kind"] == "Namespace" && its["name"] != nil && its["name"] == metadata["namespace"] {
			return one
		}
	}
	return nil
}

// check compares the messages with what is asserted; a message is a regular expression that need not match from the start.
func (a assertion) check(messages []string) error {
	found := messages
	if a.Message != nil {
		form, err := regexp.Compile(*a.Message)
		if err != nil {
			return fmt.Errorf("cannot read the assertion's message: %w", err)
		}
		found = nil
		for _, message := range messages {
			if form.MatchString(message) {
				found = append(found, message)
			}
		}
	}
	wanted, ok := "", false
	switch text := cmp.Or(strings.ToLower(fmt.Sprint(a.Violations)), "yes"); text {
	case "yes", "true", "<nil>":
		wanted, ok = "violations", len(found) > 0
	case "no", "false":
		wanted, ok = "no violations", len(found) == 0
	default:
		number, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("violations: %q is neither yes, no nor a number", text)
		}
		wanted, ok = fmt.Sprintf("%d violations", number), len(found) == number
	}
	if ok {
		return nil
	}
	if a.Message != nil {
		wanted += fmt.Sprintf(" like %q", *a.Message)
	}
	return fmt.Errorf("want %s, got %d: %s", wanted, len(found), strings.Join(messages, "; "))
}
