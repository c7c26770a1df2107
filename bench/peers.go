//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Names of peers.
const (
	peerGateway   = "gateway"
	peerNginx     = "nginx"
	peerNginxLua  = "nginx + Lua"
	peerHAProxy   = "HAProxy"
	peerCaddy     = "Caddy"
	peerTraefik   = "Traefik"
	peerFasthttp  = "fasthttp"
	peerForwarder = "forwarder"

	ours = peerGateway
)

// peers lists everybody, in the order of tables.
func peers() []*peer {
	return []*peer{
		{name: peerGateway, scripts: true, find: findGateway, start: startGatewayPeer},
		{name: peerNginx, find: findNginxPeer, start: startNginxPeer},
		{name: peerNginxLua, scripts: true, find: findNginxLuaPeer, start: startNginxLuaPeer},
		{name: peerHAProxy, find: findHAProxy, start: startHAProxy},
		{name: peerCaddy, find: findCaddy, start: startCaddy},
		{name: peerTraefik, find: findTraefik, start: startTraefik},
		{name: peerFasthttp, bare: true, find: findFasthttp, start: startFasthttp},
		{name: peerForwarder, bare: true, find: findForwarder, start: startForwarder},
	}
}

// hostName is the name of the i-th host.
func hostName(i int) string { return fmt.Sprintf("t%05d.example.com", i) }

// hostNames are the first so many.
func hostNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = hostName(i)
	}
	return names
}

// poolName is what its pool is called where each host has one.
func poolName(i int) string { return fmt.Sprintf("t%05d", i) }

// startPatience is how long a peer may take to start: some need seconds for
// many hosts on one slow core.
const startPatience = time.Minute

// ready waits until a target answers for its last host, and gives it up if it
// doesn't.
func (t *target) ready(ctx context.Context, w *work) (*target, error) {
	err := t.answers(ctx, t.address, hostName(w.hosts-1), w.script.path(), startPatience)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// path is one that is answered with 200.
func (s script) path() string {
	if s == scriptAnswerWork {
		return "/hello"
	}
	return "/"
}

// without is the error of a peer that is asked for a script it can't run.
func (w *work) without(name string) error {
	if w.script != noScript {
		return fmt.Errorf("%s runs no scripts here, it was asked for %q", name, w.script)
	}
	return nil
}

// goEnv keeps a Go program to as many threads as it has cores.
func (w *work) goEnv() []string { return []string{"GOMAXPROCS=" + strconv.Itoa(w.cores)} }

// versionOf is the first line that a program prints about itself.
func versionOf(ctx context.Context, program string, args ...string) (string, error) {
	output, err := exec.CommandContext(ctx, program, args...).CombinedOutput() //nolint:gosec // G204: named by whoever runs bench
	if err != nil {
		return "", fmt.Errorf("cannot ask %s for its version: %w", program, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	return line, nil
}

// firstOf is the first program of the list that is there. A name without a
// slash is looked for on the PATH.
func firstOf(programs ...string) (string, error) {
	for _, program := range programs {
		if file, err := exec.LookPath(program); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no %s", strings.Join(programs, " or "))
}

// selfPeer runs a sub-command of bench as a peer: address, both upstream
// addresses, cores.
func (l *lab) selfPeer(ctx context.Context, w *work, name, command string) (*target, error) {
	if err := w.without(name); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &target{}
	if t.address, err = freeAddress(); err != nil {
		return nil, err
	}
	cpus, _ := l.cpusFor(w.cores)
	t.process, err = l.startBound(name, cpus, w.goEnv(), self, command, t.address.String(),
		w.upstream.addresses[0].String(), w.upstream.addresses[1].String(), strconv.Itoa(w.cores))
	if err != nil {
		return nil, err
	}
	t.reload = func(context.Context) error { return errors.New(name + " has no configuration to reload") }
	return t.ready(ctx, w)
}
