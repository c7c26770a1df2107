package luatest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Skipped *struct{}     `xml:"skipped"`
	Failure *junitFailure `xml:"failure"`
	Error   *junitFailure `xml:"error"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes a report as JUnit's XML, which CI services read. A file
// whose tests could not be listed is a test case with an error.
func WriteJUnit(w io.Writer, r *Report) error {
	all := junitSuites{
		Tests: r.Tests(), Failures: r.Count(Failed), Skipped: r.Count(Skipped), Time: junitTime(r.Duration),
	}
	for _, f := range r.Files {
		suite := junitSuite{
			Name: f.Name, Tests: len(f.Tests), Failures: f.Count(Failed), Skipped: f.Count(Skipped), Time: junitTime(f.Duration),
		}
		for _, t := range f.Tests {
			suite.Cases = append(suite.Cases, junitTest(f, t))
		}
		if f.Err != "" {
			suite.Tests, suite.Errors = suite.Tests+1, 1
			all.Tests, all.Errors = all.Tests+1, all.Errors+1
			suite.Cases = append(suite.Cases, junitCase{
				Class: f.Name, Name: "(loading the file)", Time: junitTime(0), Error: newFailure(f.Err, ""),
			})
		}
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitTest(f *FileReport, t *TestReport) junitCase {
	c := junitCase{Class: f.Name, Name: t.Name, Time: junitTime(t.Duration), Output: t.Output}
	switch t.Status {
	case Failed:
		c.Failure = newFailure(t.Failure, t.Details)
	case Skipped:
		c.Skipped = &struct{}{}
	}
	return c
}

func newFailure(text, details string) *junitFailure {
	first, _, _ := strings.Cut(text, "\n")
	return &junitFailure{Message: first, Text: strings.TrimRight(text+"\n\n"+details, "\n")}
}

func junitTime(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
