package session

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// maxDecisions is how many decisions about requests wait; older ones go first.
const maxDecisions = 500

// pointAudit is that of results which last until they are gone; others are decisions, said once.
const pointAudit = "audit"

// findings are what policies say of what runs in the cluster, and what of it the hub has still to be told.
type findings struct {
	current map[string]*linkv1.PolicyResult
	dirty   map[string]bool
	gone    map[string]*linkv1.PolicyResultKey
	// decisions about requests, oldest first.
	decisions     []*linkv1.PolicyResult
	problems      []string
	problemsDirty bool
	// known is true once anything was said, full while the hub shall forget what it was told before.
	known, full bool
}

func newFindings() findings {
	return findings{current: map[string]*linkv1.PolicyResult{}, dirty: map[string]bool{}, gone: map[string]*linkv1.PolicyResultKey{}}
}

func findingKey(key *linkv1.PolicyResultKey) string {
	o := key.GetObject()
	return key.GetPoint() + "\x00" + o.GetGroup() + "\x00" + o.GetKind() + "\x00" + o.GetNamespace() + "\x00" + o.GetName() + "\x00" + key.GetPolicy() + "\x00" + key.GetId()
}

// take takes what changed.
func (f *findings) take(report *linkv1.PolicyReport) {
	f.known = true
	if report.GetFull() {
		clear(f.current)
		clear(f.dirty)
		clear(f.gone)
		f.full = true
	}
	for _, result := range report.GetUpserts() {
		if result.GetKey().GetPoint() != pointAudit {
			f.decisions = append(f.decisions, result)
			continue
		}
		name := findingKey(result.GetKey())
		f.current[name], f.dirty[name] = result, true
		delete(f.gone, name)
	}
	for _, key := range report.GetGone() {
		name := findingKey(key)
		delete(f.current, name)
		delete(f.dirty, name)
		f.gone[name] = key
	}
	if len(f.decisions) > maxDecisions {
		f.decisions = slices.Clone(f.decisions[len(f.decisions)-maxDecisions:])
	}
	// Decisions say nothing of what cannot be looked at.
	if !decisionsOnly(report) && (report.GetFull() || !slices.Equal(f.problems, report.GetProblems())) {
		f.problems, f.problemsDirty = report.GetProblems(), true
	}
}

func decisionsOnly(report *linkv1.PolicyReport) bool {
	return len(report.GetUpserts()) > 0 && !slices.ContainsFunc(report.GetUpserts(), func(r *linkv1.PolicyResult) bool { return r.GetKey().GetPoint() == pointAudit })
}

// resendAll makes the next reports say everything that lasts.
func (f *findings) resendAll() {
	f.full = f.known
	clear(f.gone)
	for name := range f.current {
		f.dirty[name] = true
	}
}

func (f *findings) waiting() bool {
	return f.full || f.problemsDirty || len(f.dirty)+len(f.gone)+len(f.decisions) > 0
}

// next takes what fits.
func (f *findings) next(room int) *linkv1.PolicyReport {
	if !f.waiting() {
		return nil
	}
	report := &linkv1.PolicyReport{Full: f.full, Problems: f.problems}
	f.full, f.problemsDirty = false, false
	for _, name := range slices.Sorted(maps.Keys(f.gone)) {
		report.Gone = append(report.Gone, f.gone[name])
	}
	clear(f.gone)
	for len(f.decisions) > 0 && room > 0 {
		report.Upserts = append(report.Upserts, f.decisions[0])
		room -= proto.Size(f.decisions[0])
		f.decisions = f.decisions[1:]
	}
	for _, name := range slices.Sorted(maps.Keys(f.dirty)) {
		if room <= 0 {
			break
		}
		report.Upserts = append(report.Upserts, f.current[name])
		room -= proto.Size(f.current[name])
		delete(f.dirty, name)
	}
	return report
}

// recall takes back a report that was on its way.
func (f *findings) recall(report *linkv1.PolicyReport) {
	if report == nil {
		return
	}
	f.full, f.problemsDirty = f.full || report.GetFull(), true
	var decisions []*linkv1.PolicyResult
	for _, result := range report.GetUpserts() {
		name := findingKey(result.GetKey())
		switch {
		case result.GetKey().GetPoint() != pointAudit:
			decisions = append(decisions, result)
		case f.current[name] != nil:
			f.dirty[name] = true
		}
	}
	f.decisions = append(decisions, f.decisions...)
	for _, key := range report.GetGone() {
		if name := findingKey(key); f.current[name] == nil {
			f.gone[name] = key
		}
	}
}
