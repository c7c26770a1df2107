package luatest

import "time"

// Status is what became of a test.
type Status string

// The statuses. A test that has only begun has none.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Report is the outcome of a run.
type Report struct {
	Files    []*FileReport
	Coverage []ScriptCoverage // only with Options.Cover
	Duration time.Duration
}

// FileReport is the outcome of one file.
type FileReport struct {
	Name     string // below the directory, with slashes
	Tests    []*TestReport
	Err      string // why its tests could not be listed, or ""
	Duration time.Duration
}

// TestReport is the outcome of one test.
type TestReport struct {
	Name     string // "group / test"
	Status   Status
	Duration time.Duration
	// Failure says what was expected and what was not so, and Details what the
	// gateway did meanwhile, in several lines.
	Failure, Details string
	// Output is what the test printed.
	Output string
}

// OK reports whether nothing has failed.
func (r *Report) OK() bool {
	for _, f := range r.Files {
		if f.Err != "" {
			return false
		}
	}
	return r.Count(Failed) == 0
}

// Tests returns how many tests there are.
func (r *Report) Tests() (n int) {
	for _, f := range r.Files {
		n += len(f.Tests)
	}
	return n
}

// Count returns how many tests have a status.
func (r *Report) Count(s Status) (n int) {
	for _, f := range r.Files {
		n += f.Count(s)
	}
	return n
}

// Count returns how many tests of the file have a status.
func (f *FileReport) Count(s Status) (n int) {
	for _, t := range f.Tests {
		if t.Status == s {
			n++
		}
	}
	return n
}

// OK reports whether nothing in the file has failed.
func (f *FileReport) OK() bool { return f.Err == "" && f.Count(Failed) == 0 }
