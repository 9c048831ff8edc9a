package engine

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const masked = "***"

// hiding collects texts that no message may show.
type hiding map[string]bool

// hide a text: as it stands, trimmed, and as %q would quote it.
func (h hiding) hide(text string) {
	for _, form := range []string{text, strings.TrimSpace(text), strings.Trim(strconv.Quote(text), `"`)} {
		if form != "" {
			h[form] = true
		}
	}
}

// secret hides the values of a Secret, decoded too.
func (h hiding) secret(object map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for _, value := range values {
			text, ok := value.(string)
			if !ok {
				continue
			}
			h.hide(text)
			if plain, err := base64.StdEncoding.DecodeString(text); err == nil && field == "data" {
				h.hide(string(plain))
			} else if field == "stringData" {
				h.hide(base64.StdEncoding.EncodeToString([]byte(text)))
			}
		}
	}
}

// Shorter texts and numbers than these are no secrets, and hiding them would leave no message readable.
const (
	shortestText   = 3
	shortestNumber = 4
)

// all hides everything below a value: the lines of what is a file, too, and what stands in them behind a name.
func (h hiding) all(value any) {
	switch typed := value.(type) {
	case map[string]any:
		for _, field := range typed {
			h.all(field)
		}
	case []any:
		for _, item := range typed {
			h.all(item)
		}
	case string:
		h.text(typed)
		for line := range strings.Lines(typed) {
			h.text(line)
			if at := strings.IndexAny(line, ":="); at >= 0 {
				h.text(strings.Trim(line[at+1:], "\"' \t\r\n,{}[]"))
			}
		}
	case bool, nil:
	default:
		if text := fmt.Sprint(typed); len(text) >= shortestNumber {
			h.hide(text)
		}
	}
}

func (h hiding) text(text string) {
	if len(strings.TrimSpace(text)) >= shortestText {
		h.hide(text)
	}
}

// object hides everything of an object but what names it.
func (h hiding) object(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	for key, field := range object {
		if key != "apiVersion" && key != "kind" && key != "metadata" {
			h.all(field)
		}
	}
	for key, field := range metadata {
		if key != "name" && key != "namespace" {
			h.all(field)
		}
	}
}

// Masker hides the values of objects in any text: of a Secret its data, of others, which were made of secret inputs, all but
// what names them.
func Masker(objects []map[string]any) *strings.Replacer {
	hidden := hiding{}
	for _, object := range objects {
		hidden.secret(object)
		if object["apiVersion"] != "v1" || object["kind"] != "Secret" {
			hidden.object(object)
		}
	}
	return hidden.replacer()
}

func (h hiding) replacer() *strings.Replacer {
	// The replacer prefers earlier pairs at the same place: the longest first, so that no rest of a longer value stays.
	var pairs []string
	texts := make([]string, 0, len(h))
	for text := range h {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, text := range texts {
		pairs = append(pairs, text, masked)
	}
	return strings.NewReplacer(pairs...)
}
