package yamldoc

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// checkText refuses what is no text before the parser guesses, and takes off a byte order mark.
func checkText(data []byte) ([]byte, error) {
	if len(data) > MaxBytes {
		return nil, &Error{Message: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), MaxBytes)}
	}
	data = bytes.TrimPrefix(data, byteOrderMark)
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return nil, &Error{Line: lineAt(data, at), Message: "a NUL byte stands here; the file is binary or UTF-16, and must be UTF-8"}
	}
	if utf8.Valid(data) {
		return data, nil
	}
	for at := 0; at < len(data); {
		char, size := utf8.DecodeRune(data[at:])
		if char == utf8.RuneError && size == 1 {
			return nil, &Error{Line: lineAt(data, at), Message: fmt.Sprintf("byte %#x is not UTF-8", data[at])}
		}
		at += size
	}
	return data, nil
}

func lineAt(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

// tabNear looks for the tab that a syntax error is about: the parser names the line, or the one before or after it.
func tabNear(data []byte, line int) int {
	number := 0
	for text := range bytes.Lines(data) {
		number++
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if number >= line-1 && number <= line+1 && bytes.IndexByte(indent, '\t') >= 0 {
			return number
		}
	}
	return 0
}

// Text is what a file holds of the document that a line is in: word for word, without the marks between documents.
func Text(data []byte, line int) []byte {
	text, _ := segment(data, line)
	return text
}

// segment returns the document's text and the number of lines before it.
func segment(data []byte, line int) (text []byte, before int) {
	offset, number, start := 0, 0, 0
	data = bytes.TrimPrefix(data, byteOrderMark)
	for one := range bytes.Lines(data) {
		number++
		if mark(one) {
			if number > line {
				return data[start:offset], before
			}
			// What follows the mark on its line belongs to the document.
			if rest := bytes.TrimSpace(one[3:]); len(rest) > 0 && rest[0] != '#' && one[0] == '-' {
				start, before = offset+3, number-1
			} else {
				start, before = offset+len(one), number
			}
		}
		offset += len(one)
	}
	return data[start:], before
}

// mark says whether a line parts documents: nothing else may begin like this, not even a line of a text block.
func mark(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("---")) && !bytes.HasPrefix(line, []byte("...")) {
		return false
	}
	return len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0
}
