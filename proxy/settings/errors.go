package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxErrors bounds how many errors one document reports, so that a file of
// another kind given by mistake doesn't fill the screen.
const maxErrors = 1000

// maxOwn bounds how many are kept of one element of a list.
const maxOwn = 100

// Reporter takes the findings of a section's Check method. *Document is one.
type Reporter interface {
	// Errorf reports that field is wrong. field is a pointer to the offending
	// field inside the decoded struct, such as &c.URL or &c.Domains[i]; the
	// message says what is wrong and what was expected.
	Errorf(field any, format string, args ...any)
}

// Error is one finding in a configuration file.
type Error struct {
	File    string // as given to Decode
	Line    int    // from 1; 0 when the finding has no place in the file
	Column  int    // from 1, in characters
	Message string // what is wrong and what was expected

	// Migrates says that it is a key of the earlier Keystone Gateway, which the
	// command migrate replaces, or says of why not.
	Migrates bool
}

// Error returns "file:line:column: message", or "file: message" without a line.
func (e Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Errors are all findings in a file, sorted by position. It is never empty when
// returned as an error.
type Errors []Error

// Error returns one finding a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As access to each finding.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i := range e {
		list[i] = e[i]
	}
	return list
}

// Bounded returns a sorted copy, of which only so many are kept as anybody
// reads. It is what a whole document's errors are shown by.
func (e Errors) Bounded(file string) Errors {
	if len(e) > maxErrors {
		e = append(slices.Clone(e[:maxErrors]), Error{File: file, Message: fmt.Sprintf("more than %d errors: only the first are shown", maxErrors)})
	}
	return e.sorted()
}

// sorted returns a copy in the order of the file; findings at one position keep
// the order in which they were reported.
func (e Errors) sorted() Errors {
	out := slices.Clone(e)
	slices.SortStableFunc(out, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return out
}
