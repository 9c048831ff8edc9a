package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position in the repository that is read.
type Position struct {
	File string
	// Line from 1; 0 where the whole file is meant.
	Line int
}

// String is file:line.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Verdict says how faithful a translation is.
type Verdict string

// The verdicts.
const (
	// Translated has its equal here.
	Translated Verdict = "translated"
	// Differs works here in another way, which the entry says.
	Differs Verdict = "differs"
	// LeftOut has no equal, and nothing was written for it.
	LeftOut Verdict = "left out"
)

// Entry of a report.
type Entry struct {
	Position
	Verdict Verdict
	// What was read: a kind and name, or a field.
	What string
	// Became says what was written, or why nothing was.
	Became string
	// Do is what a person has to do; "" for nothing.
	Do string
}

// Report says what became of everything that was read.
type Report struct{ Entries []Entry }

// Translated notes what has its equal.
func (r *Report) Translated(at Position, what, became string) {
	r.add(Entry{at, Translated, what, became, ""})
}

// Differs notes what works in another way.
func (r *Report) Differs(at Position, what, became, do string) {
	r.add(Entry{at, Differs, what, became, do})
}

// LeftOut notes what has no equal.
func (r *Report) LeftOut(at Position, what, why, do string) {
	r.add(Entry{at, LeftOut, what, why, do})
}

func (r *Report) add(entry Entry) {
	if !slices.Contains(r.Entries, entry) {
		r.Entries = append(r.Entries, entry)
	}
}

// Sorted entries, by file and line.
func (r *Report) Sorted() []Entry {
	out := slices.Clone(r.Entries)
	slices.SortStableFunc(out, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return out
}

// Count of entries with a verdict.
func (r *Report) Count(verdict Verdict) int {
	count := 0
	for _, entry := range r.Entries {
		if entry.Verdict == verdict {
			count++
		}
	}
	return count
}

// Markdown of the report: what a person has to look at first.
func (r *Report) Markdown(tool string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Imported from %s\n\n%d translated, %d work in another way, %d left out.\n",
		tool, r.Count(Translated), r.Count(Differs), r.Count(LeftOut))
	for _, part := range []struct {
		verdict Verdict
		title   string
		header  string
	}{
		{LeftOut, "Left out", "| where | what | why | what to do |\n| --- | --- | --- | --- |\n"},
		{Differs, "Works in another way", "| where | what | here | what to do |\n| --- | --- | --- | --- |\n"},
		{Translated, "Translated", "| where | what | became |\n| --- | --- | --- |\n"},
	} {
		if r.Count(part.verdict) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n## %s\n\n%s", part.title, part.header)
		for _, entry := range r.Sorted() {
			if entry.Verdict != part.verdict {
				continue
			}
			cells := []string{entry.String(), entry.What, entry.Became}
			if part.verdict != Translated {
				cells = append(cells, entry.Do)
			}
			for i := range cells {
				cells[i] = strings.ReplaceAll(strings.Join(strings.Fields(cells[i]), " "), "|", `\|`)
			}
			fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	return out.String()
}
