package owned

import (
	"fmt"
	"strings"
)

// maxNamed is how many fields a description of changes names.
const maxNamed = 5

// Describe says in one line who changed what, and when: "by kubectl-edit at 2026-01-02T15:04:05Z: /spec/a, /spec/b;
// removed: /spec/c; and 2 more". "" without changes.
func Describe(changes []Change) string {
	var groups []string
	of := map[string][]string{}
	for i, change := range changes {
		if i == maxNamed {
			break
		}
		by := "removed"
		if change.Manager != "" {
			by = "by " + change.Manager
			if change.Part != "" {
				by += " through " + change.Part
			}
			if change.Time != "" {
				by += " at " + change.Time
			}
		}
		if _, known := of[by]; !known {
			groups = append(groups, by)
		}
		of[by] = append(of[by], change.Pointer.String())
	}
	for i, by := range groups {
		groups[i] = by + ": " + strings.Join(of[by], ", ")
	}
	if more := len(changes) - maxNamed; more > 0 {
		groups = append(groups, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(groups, "; ")
}

// Who are the managers of changes, each once, in order.
func Who(changes []Change) string {
	return join(changes, func(c Change) string { return c.Manager })
}

// What are the fields of changes, as many as Describe names.
func What(changes []Change) string {
	text := join(changes[:min(len(changes), maxNamed)], func(c Change) string { return c.Pointer.String() })
	if more := len(changes) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func join(changes []Change, of func(Change) string) string {
	var texts []string
	seen := map[string]bool{}
	for _, change := range changes {
		if text := of(change); text != "" && !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, ", ")
}
