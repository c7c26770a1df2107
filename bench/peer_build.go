//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// goModule is a peer that can be built of a Go module, at one version so that
// results can be compared. Its binary is kept in the user's cache directory,
// which saves minutes at the next run.
type goModule struct {
	program string // the name of the binary, by which one is looked for on the PATH too
	module  string
	version string
	command string // the package, below the module

	// replaces says that its go.mod has replace directives, for which go
	// install refuses it.
	replaces bool
}

// buildTime is how long it may take, downloads included.
const buildTime = 15 * time.Minute

// find returns the binary: the one that is kept, or the one on the PATH, or,
// with the flag -build-peers, one that it builds.
func (m *goModule) find(ctx context.Context, l *lab) (string, error) {
	kept, err := m.kept()
	if err != nil {
		return "", err
	}
	binary, err := firstOf(kept, m.program)
	if err == nil {
		return binary, nil
	}
	if !l.options.buildPeers {
		return "", fmt.Errorf("there is no %s on the PATH; -build-peers builds %s@%s", m.program, m.module, m.version)
	}
	l.progress("building " + m.program + ", which takes minutes")
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	if err := m.build(ctx, l, kept); err != nil {
		return "", fmt.Errorf("cannot build %s of %s@%s: %w", m.program, m.module, m.version, err)
	}
	return kept, nil
}

// kept is where the binary of this version is, or would be.
func (m *goModule) kept() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the user's cache directory: %w", err)
	}
	return filepath.Join(cache, "keystone-gateway-bench", filepath.FromSlash(m.module)+"@"+m.version, m.program), nil
}

// pinned returns the version of a binary that was built here.
func (m *goModule) pinned(binary string) (version string, ok bool) {
	kept, err := m.kept()
	return m.version, err == nil && binary == kept
}

// build builds aside and then renames: what is kept is always whole. The
// checksum database vouches for what is downloaded, as it always does.
func (m *goModule) build(ctx context.Context, l *lab, kept string) error {
	aside := filepath.Join(filepath.Dir(kept), "part") // a rename stays within a file system
	if err := os.MkdirAll(aside, 0o750); err != nil {
		return err
	}
	built := filepath.Join(aside, m.program)
	args := []string{"install", "-trimpath", "-ldflags", "-s -w", m.module + "/" + m.command + "@" + m.version}
	directory := aside
	if m.replaces {
		directory = filepath.Join(l.directory, "build-"+m.program)
		if err := m.writeModule(ctx, directory); err != nil {
			return err
		}
		args = []string{"build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", built, m.module + "/" + m.command}
	}
	if _, err := runGo(ctx, directory, []string{"GOBIN=" + aside}, args...); err != nil {
		return err
	}
	if err := os.Rename(built, kept); err != nil {
		return err
	}
	return os.Remove(aside)
}

// writeModule makes a main module with the go.mod of the peer's, since replace
// directives only hold in a main module, and go.sum, so that everything has
// the version that its authors test.
func (m *goModule) writeModule(ctx context.Context, directory string) error {
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return err
	}
	text, err := runGo(ctx, directory, nil, "mod", "download", "-json", m.module+"@"+m.version)
	if err != nil {
		return err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(text), &downloaded); err != nil {
		return fmt.Errorf("cannot read where go has put it: %w", err)
	}
	source := os.DirFS(downloaded.Dir)
	module, err := fs.ReadFile(source, "go.mod")
	if err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(string(module), "module "+m.module+"\n")
	if !ok {
		return errors.New("its go.mod doesn't begin with its module line")
	}
	sums, err := fs.ReadFile(source, "go.sum")
	if err != nil {
		return err
	}
	main := fmt.Sprintf("module bench.invalid/%s\n%s\nrequire %s %s\n", m.program, rest, m.module, m.version)
	if err := os.WriteFile(filepath.Join(directory, "go.mod"), []byte(main), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, "go.sum"), sums, 0o600)
}

// runGo runs the go command outside of any workspace and returns its output.
func runGo(ctx context.Context, directory string, env []string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // G204: arguments are from this file
	command.Dir = directory
	command.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="), env...)
	errorText := strings.Builder{}
	command.Stderr = &errorText
	output, err := command.Output()
	if err != nil {
		text := errorText.String()
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, text[max(0, len(text)-2000):])
	}
	return string(output), nil
}
