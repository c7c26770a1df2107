package upgrade

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program is what the process was started as, and its successor is.
type Program struct {
	Path string
	Args []string // with the name
}

// Self returns the program of this process. It is for its start, since later there
// may be another file in the place of the running one: that will be the new one.
// The path is the one by which it was started, so that a link to another version
// counts.
func Self() (Program, error) {
	self := Program{Args: os.Args}
	running, err := os.Executable()
	path, ok := named(os.Args[0])
	if ok && (same(path, running) || err != nil) { // without /proc there is only the name
		running, err = path, nil
	}
	self.Path = running
	return self, err
}

// named is the path that a shell would have started for a name.
func named(name string) (path string, ok bool) {
	if !strings.ContainsRune(name, filepath.Separator) {
		found, err := exec.LookPath(name)
		if err != nil {
			return "", false
		}
		name = found
	}
	path, err := filepath.Abs(name)
	return path, err == nil
}

// same reports whether two paths lead to one file. A name may be anything, and
// isn't always a path.
func same(a, b string) bool {
	first, err := os.Stat(a) //nolint:gosec // G703: of what this program was started by
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
