package sops

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rules say which values of a document are encrypted. At most one of them but macOnlyEncrypted is set.
type rules struct {
	unencryptedSuffix, encryptedSuffix   string
	unencryptedRegex, encryptedRegex     *regexp.Regexp
	unencryptedComment, encryptedComment *regexp.Regexp
	macOnlyEncrypted                     bool
}

// defaultUnencryptedSuffix holds where a document names no rule.
const defaultUnencryptedSuffix = "_unencrypted"

func (m metadata) rules() (rules, error) {
	r := rules{unencryptedSuffix: m.UnencryptedSuffix, encryptedSuffix: m.EncryptedSuffix, macOnlyEncrypted: m.MACOnlyEncrypted}
	set := 0
	for _, suffix := range []string{m.UnencryptedSuffix, m.EncryptedSuffix} {
		if suffix != "" {
			set++
		}
	}
	for _, one := range []struct {
		name, text string
		into       **regexp.Regexp
	}{
		{"unencrypted_regex", m.UnencryptedRegex, &r.unencryptedRegex},
		{"encrypted_regex", m.EncryptedRegex, &r.encryptedRegex},
		{"unencrypted_comment_regex", m.UnencryptedCommentRegex, &r.unencryptedComment},
		{"encrypted_comment_regex", m.EncryptedCommentRegex, &r.encryptedComment},
	} {
		if one.text == "" {
			continue
		}
		set++
		compiled, err := regexp.Compile(one.text)
		if err != nil {
			return rules{}, fmt.Errorf("sops.%s: %w", one.name, err)
		}
		*one.into = compiled
	}
	if set > 1 {
		return rules{}, fmt.Errorf("sops: more than one rule says what is encrypted, which %w", ErrUnsupported)
	}
	if set == 0 {
		r.unencryptedSuffix = defaultUnencryptedSuffix
	}
	return r, nil
}

// encrypted says whether the value at a path, below comments, is encrypted.
func (r rules) encrypted(path []string, notes [][]string) bool {
	inPath := func(match func(string) bool) bool { return slices.ContainsFunc(path, match) }
	inNotes := func(match func(string) bool) bool {
		return slices.ContainsFunc(notes, func(level []string) bool { return slices.ContainsFunc(level, match) })
	}
	switch {
	case r.unencryptedSuffix != "":
		return !inPath(func(key string) bool { return strings.HasSuffix(key, r.unencryptedSuffix) })
	case r.encryptedSuffix != "":
		return inPath(func(key string) bool { return strings.HasSuffix(key, r.encryptedSuffix) })
	case r.unencryptedRegex != nil:
		return !inPath(r.unencryptedRegex.MatchString)
	case r.encryptedRegex != nil:
		return inPath(r.encryptedRegex.MatchString)
	case r.unencryptedComment != nil:
		return !inNotes(r.unencryptedComment.MatchString)
	default:
		return inNotes(r.encryptedComment.MatchString)
	}
}
