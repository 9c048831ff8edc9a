package offline

import (
	"fmt"
	"slices"
	"strings"
)

// nearNames that an error suggests at most.
const nearNames = 3

// unknown is the error for a name that is not among those known.
func unknown(what, name string, known []string) error {
	message := fmt.Sprintf("there is no %s %q", what, name)
	switch near := Near(name, known); {
	case len(near) > 0:
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	case len(known) == 0:
		message += ": the fleet repo declares none"
	default:
		shown := slices.Sorted(slices.Values(known))
		rest := ""
		if more := len(shown) - 10; more > 0 {
			shown, rest = shown[:10], fmt.Sprintf(" and %d more", more)
		}
		message += fmt.Sprintf("; there are %s%s", strings.Join(shown, ", "), rest)
	}
	return &UnknownError{message}
}

// UnknownError says that a name was asked for which nothing has.
type UnknownError struct{ message string }

func (e *UnknownError) Error() string { return e.message }

// Near are the known names that a person may have meant, the likeliest first.
func Near(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, other := range known {
		distance := editDistance(strings.ToLower(name), strings.ToLower(other))
		if strings.Contains(other, name) || strings.Contains(name, other) {
			distance = min(distance, 1)
		}
		if distance <= max(1, len(name)/3) {
			found = append(found, candidate{other, distance})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for _, one := range found[:min(len(found), nearNames)] {
		out = append(out, one.name)
	}
	return out
}

// editDistance counts the letters to insert, remove, replace or swap with the next.
func editDistance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
