package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// RefusedError says that a commit was refused whole: everything before it stays in force.
type RefusedError struct{ Refusal v1alpha1.Refusal }

func (e *RefusedError) Error() string { return Describe(e.Refusal) }

// Describe is "file:line: field: message".
func Describe(r v1alpha1.Refusal) string {
	text := r.File
	if r.Line > 0 {
		text += fmt.Sprintf(":%d", r.Line)
	}
	if r.Field != "" {
		text += ": " + r.Field
	}
	return text + ": " + r.Message
}

func refusal(file string, line int, field, format string, args ...any) v1alpha1.Refusal {
	return v1alpha1.Refusal{File: file, Line: int32(min(max(line, 0), 1<<30)), Field: field, Message: fmt.Sprintf(format, args...)}
}

func sortRefusals(refused []v1alpha1.Refusal) []v1alpha1.Refusal {
	slices.SortStableFunc(refused, func(a, b v1alpha1.Refusal) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field))
	})
	return slices.Compact(refused)
}

func lineOf(lines map[string]int, field string, fallback int) int {
	for field != "" {
		if line, ok := lines[field]; ok {
			return line
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			break
		}
		field = field[:cut]
	}
	return fallback
}
