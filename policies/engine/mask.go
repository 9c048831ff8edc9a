package engine

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

const masked = "***"

// mask hides the values of a Secret: as they stand, decoded, and as %q would quote them.
func mask(object map[string]any) *strings.Replacer {
	hidden := map[string]bool{}
	hide := func(text string) {
		for _, form := range []string{text, strings.TrimSpace(text), strings.Trim(strconv.Quote(text), `"`)} {
			if form != "" {
				hidden[form] = true
			}
		}
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for _, value := range values {
			text, ok := value.(string)
			if !ok {
				continue
			}
			hide(text)
			if plain, err := base64.StdEncoding.DecodeString(text); err == nil && field == "data" {
				hide(string(plain))
			} else if field == "stringData" {
				hide(base64.StdEncoding.EncodeToString([]byte(text)))
			}
		}
	}
	// The replacer prefers earlier pairs at the same place: the longest first, so that no rest of a longer value stays.
	var pairs []string
	texts := make([]string, 0, len(hidden))
	for text := range hidden {
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
