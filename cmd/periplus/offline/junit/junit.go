// Package junit writes results in JUnit's XML, which CI systems show.
package junit

import (
	"encoding/xml"
	"io"
)

// Suites are all results; Add keeps the counts.
type Suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Suites   []Suite  `xml:"testsuite"`
}

// Suite of cases.
type Suite struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Cases    []Case `xml:"testcase"`
}

// Case is one result: passed, where it neither failed nor was skipped.
type Case struct {
	Name    string `xml:"name,attr"`
	Class   string `xml:"classname,attr"`
	Failure *Note  `xml:"failure"`
	Skipped *Note  `xml:"skipped"`
	Output  string `xml:"system-out,omitempty"`
}

// Note says why.
type Note struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Add a suite.
func (s *Suites) Add(suite Suite) {
	suite.Tests = len(suite.Cases)
	for _, c := range suite.Cases {
		if c.Failure != nil {
			suite.Failures++
		}
	}
	s.Tests += suite.Tests
	s.Failures += suite.Failures
	s.Suites = append(s.Suites, suite)
}

// Write the document.
func (s *Suites) Write(out io.Writer) error {
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}
