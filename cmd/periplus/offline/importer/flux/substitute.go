package flux

import (
	"regexp"
	"strconv"
	"strings"
)

// variable is ${name}, ${name:=default}, ${name:-default}, ${name^^} and the like, or $${ which stands for ${.
var variable = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)((?:[^{}])*)\}`)

// substitutionOff keeps an object's text from being substituted.
const substitutionOff = "kustomize.toolkit.fluxcd.io/substitute: disabled"

// substitute fills variables in, as Flux does after it built; unknown are those that have neither value nor default, or use a
// function that has no equal here. Their text stays.
func substitute(text string, vars map[string]string) (out string, unknown []string) {
	documents := strings.Split(text, "\n---")
	for i, document := range documents {
		if strings.Contains(document, substitutionOff) {
			continue
		}
		documents[i] = variable.ReplaceAllStringFunc(document, func(found string) string {
			if found == "$${" {
				return "${"
			}
			parts := variable.FindStringSubmatch(found)
			value, set := vars[parts[1]]
			filled, ok := apply(value, set, parts[2])
			if !ok {
				unknown = append(unknown, found)
				return found
			}
			return filled
		})
	}
	return strings.Join(documents, "\n---"), unknown
}

func apply(value string, set bool, function string) (string, bool) {
	switch {
	case function == "":
		return value, set
	case strings.HasPrefix(function, ":=") || strings.HasPrefix(function, ":-"):
		if value == "" {
			return function[2:], true
		}
		return value, true
	case strings.HasPrefix(function, "=") || strings.HasPrefix(function, "-"):
		if !set {
			return function[1:], true
		}
		return value, true
	case !set:
		return "", false
	case function == "^^":
		return strings.ToUpper(value), true
	case function == ",,":
		return strings.ToLower(value), true
	case strings.HasPrefix(function, ":"):
		return slice(value, function[1:])
	case strings.HasPrefix(function, "//"):
		from, to, ok := strings.Cut(function[2:], "/")
		return strings.ReplaceAll(value, from, to), ok
	case strings.HasPrefix(function, "/"):
		from, to, ok := strings.Cut(function[1:], "/")
		return strings.Replace(value, from, to, 1), ok
	default:
		return "", false
	}
}

// slice is ${name:position} and ${name:position:length}.
func slice(value, function string) (string, bool) {
	first, second, bounded := strings.Cut(function, ":")
	start, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || start < 0 || start > len(value) {
		return "", false
	}
	if !bounded {
		return value[start:], true
	}
	length, err := strconv.Atoi(strings.TrimSpace(second))
	if err != nil || length < 0 {
		return "", false
	}
	return value[start:min(start+length, len(value))], true
}
