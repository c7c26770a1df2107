//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// lab is where measuring takes place: a directory for files, the binaries, and
// the processes under way. One goroutine uses it.
type lab struct {
	options   *options
	directory string
	binary    string // the gateway's
	machine   string
	files     uint64 // that a process may have open
	running   []*process
	number    int           // of the next process
	wrk       string        // empty if it isn't there
	steps     *steps        // of the run under way
	found     []peerVersion // what takes part in it
	missing   []missingPeer
	remarks   []string // of the measurement under way
}

func openLab(ctx context.Context, o *options) (*lab, error) {
	directory, err := os.MkdirTemp("", "keystone-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, directory: directory, binary: o.binary}
	if l.files, err = raiseFileLimit(); err == nil && l.binary == "" {
		l.binary, err = buildGateway(ctx, directory)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	if l.wrk, err = exec.LookPath("wrk"); err != nil && o.loader == wrkLoader {
		l.close()
		return nil, fmt.Errorf("cannot use -loader wrk: %w", err)
	}
	l.machine = l.describe()
	return l, nil
}

// close stops every process that was started, and removes all files.
func (l *lab) close() {
	l.stopAll()
	_ = os.RemoveAll(l.directory)
}

// raiseFileLimit lifts the soft limit to the hard one, for the processes too.
func raiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot raise the limit of open files to %d: %w", limit.Max, err)
	}
	return limit.Cur, nil
}

// buildGateway builds the checkout that bench is run in, as make build does.
func buildGateway(ctx context.Context, directory string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module to build, run bench in its checkout or pass -gateway: %w", err)
	}
	binary := filepath.Join(directory, "keystone-gateway")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".") //nolint:gosec // G204: the path is ours
	build.Dir = strings.TrimSpace(string(root))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the gateway: %w\n%s", err, output)
	}
	return binary, nil
}

// describe says what the figures were measured on.
func (*lab) describe() string {
	parts := []string{fmt.Sprintf("%d × %s", runtime.NumCPU(), cpuModel())}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(kernel)))
	}
	return strings.Join(parts, ", ")
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}

// progress shows on a terminal what is being done; "" clears the line.
func (*lab) progress(text string) {
	if isatty.IsTerminal(os.Stderr.Fd()) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
	} else if text != "" {
		fmt.Fprintln(os.Stderr, text)
	}
}

// write puts a file into the directory and returns its path.
func (l *lab) write(name, text string) (string, error) {
	file := filepath.Join(l.directory, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// freeAddress returns an address on which nobody listens, and which the system
// gives to nobody else while this process lives: a socket has it that doesn't
// listen itself. Whoever is told of it can, with SO_REUSEADDR, as all servers do.
func freeAddress() (netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, err
	}
	loopback := [4]byte{127, 0, 0, 1}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}))
	name, nameErr := unix.Getsockname(fd)
	address, ok := name.(*unix.SockaddrInet4)
	if err = errors.Join(err, nameErr); err != nil || !ok {
		return netip.AddrPort{}, errors.Join(err, unix.Close(fd))
	}
	return netip.AddrPortFrom(netip.AddrFrom4(loopback), uint16(address.Port)), nil // #nosec G115 -- a port
}
