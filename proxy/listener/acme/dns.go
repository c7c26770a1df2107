package acme

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// dnsCommand is the solver of DNS-01: the operator's command sets the record.
type dnsCommand struct {
	config *DNSConfig
	dir    string // that relative paths start from
}

func (d *dnsCommand) present(ctx context.Context, name string, c *acme.Challenge) error {
	if err := d.run(ctx, "present", name, c); err != nil {
		return err
	}
	timer := time.NewTimer(d.config.Settle.Std())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cleanUp runs also when the order has been given up: a record that stays is in
// the way of the next one.
func (d *dnsCommand) cleanUp(ctx context.Context, name string, c *acme.Challenge) {
	limit := d.config.Timeout.Std()
	if ctx.Err() != nil { // the process is about to end
		limit = min(limit, lastCleanUp)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	_ = d.run(ctx, "cleanup", name, c) // the next present writes a record of its own
}

// lastCleanUp bounds what is cleaned up when nobody waits for it any more.
const lastCleanUp = 5 * time.Second

// run runs the command, and kills what it has started with it. What it prints
// stands in the error.
func (d *dnsCommand) run(ctx context.Context, action, name string, c *acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout.Std())
	defer cancel()
	domain := strings.TrimPrefix(name, "*.")
	args := append(append([]string{}, d.config.Command[1:]...), action, domain, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
	command := exec.CommandContext(ctx, d.config.program(d.dir), args...) //nolint:gosec // G204: the operator's command; names are checked
	command.Dir = d.dir
	output := &tail{most: maxOutput}
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	err := command.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("it was not done within dns.timeout (%s)", d.config.Timeout)
	}
	return fmt.Errorf("dns.command %s for %s: %w%s", action, domain, err, output)
}

// program is the path of the command, or its name where PATH says where it is.
func (c *DNSConfig) program(dir string) string {
	if program := c.Command[0]; !strings.Contains(program, "/") || filepath.IsAbs(program) {
		return program
	}
	program := filepath.Join(dir, c.Command[0])
	if absolute, err := filepath.Abs(program); err == nil {
		return absolute
	}
	return program
}

// maxOutput is how much of what a command prints is kept: its end.
const maxOutput = 512

// tail keeps the end of what is written.
type tail struct {
	most int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*t.most {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-t.most:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	kept := bytes.TrimSpace(t.kept[max(len(t.kept)-t.most, 0):])
	if len(kept) == 0 {
		return ""
	}
	return fmt.Sprintf(", it says %q", kept)
}
