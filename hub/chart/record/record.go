// Package record has the words in which package chart and the store speak of resolved charts, so that neither needs the other.
package record

// Key of a record: a bundle's content and a source in it.
type Key struct {
	// Bundle is namespace/name; Content the hash of everything that it is rendered from.
	Bundle, Content string
	// Source without credentials, see chart.Source.
	Source string
}

// Resolved is one version of a chart.
type Resolved struct {
	Version string
	// Digest is the sha256 of the package, in hex.
	Digest string
	URL    string
}
