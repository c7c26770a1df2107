//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// haproxyTemplate is the gateway's work as HAProxy's users write it. It writes
// logs to syslog, to a descriptor without a buffer, or to a ring in memory: the
// ring costs it least, and the line is made all the same. Its passive health
// needs probes, which nobody else sends here, so it has none.
const haproxyTemplate = `
global
    nbthread {cores}
    maxconn {connections}
    log ring@access local0
    hard-stop-after 30s
    unix-bind mode 600

ring access
    format raw
    maxlen 2048
    size 1048576

defaults
    mode http
    log global
    timeout connect 2s
    timeout client 30s
    timeout server 60s
    timeout queue 1s
    timeout tunnel 60s
    timeout http-request 10s
    timeout http-keep-alive 75s
    http-reuse always
    retries 1
    option redispatch

frontend public
    bind {address} backlog 4096
    {secure}
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    http-request set-var(txn.host) req.hdr(host),host_only,lower
    http-request set-var(txn.pool) var(txn.host),map_str({map})
    http-request return status 404 unless { var(txn.pool) -m found }
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Proto http
    http-response set-header X-Request-Id %[unique-id]
    log-format '{"time":"%tr","request_id":"%ID","tenant":"%b","target":"%s","method":"%HM","host":"%[var(txn.host),json(utf8s)]","path":"%{+E}HP","status":%ST,"bytes_in":%U,"bytes_out":%B,"duration":%Ta,"upstream_header":%Tr,"connect":%Tc,"peer":"%ci","client":"%ci"}'
    {grpc}
    use_backend %[var(txn.pool)]

{backends}
`

// haproxyBackend is a pool of both targets that keeps connections as long as
// the gateway does.
const haproxyBackend = `backend %s
    balance roundrobin
    server one %s pool-purge-delay 30s
    server two %s pool-purge-delay 30s

`

func findHAProxy(ctx context.Context, _ *lab) (string, error) {
	binary, err := haproxyBinary()
	if err != nil {
		return "", fmt.Errorf("%w; Debian's package is haproxy", err)
	}
	return versionOf(ctx, binary, "-v")
}

func haproxyBinary() (string, error) { return firstOf("haproxy", "/usr/sbin/haproxy") }

func startHAProxy(ctx context.Context, l *lab, w *work) (*target, error) {
	if err := w.without(peerHAProxy); err != nil {
		return nil, err
	}
	binary, err := haproxyBinary()
	if err != nil {
		return nil, err
	}
	t := &target{}
	if t.address, err = freeAddress(); err != nil {
		return nil, err
	}
	file, err := l.writeHAProxy(t, w)
	if err != nil {
		return nil, err
	}
	cpus, _ := l.cpusFor(w.cores)
	// A master with a worker is what a reload takes; -db keeps it here.
	if t.process, err = l.startBound(peerHAProxy, cpus, nil, binary, "-W", "-db", "-f", file); err != nil {
		return nil, err
	}
	t.reload = func(ctx context.Context) error { return reloadHAProxy(ctx, t) }
	if err := untilLoaded(ctx, t, 0); err != nil {
		return nil, err
	}
	return t.ready(ctx, w)
}

// reloadHAProxy returns when the master says that the new worker serves. Then
// the master runs itself anew, and ignores the signal until it has: so it is
// only sent to one that catches it, and again if it was lost all the same.
func reloadHAProxy(ctx context.Context, t *target) error {
	output, err := os.Stat(t.output)
	if err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		if err := untilCatches(ctx, t, syscall.SIGUSR2); err != nil {
			return err
		}
		if err := t.command.Process.Signal(syscall.SIGUSR2); err != nil {
			return fmt.Errorf("cannot ask HAProxy to reload: %w", err)
		}
		patient, cancel := context.WithTimeout(ctx, startPatience/6)
		err := untilLoaded(patient, t, output.Size())
		cancel()
		if err == nil || ctx.Err() != nil || tries == 2 {
			return err
		}
	}
}

// untilCatches waits until a process has a handler for a signal.
func untilCatches(ctx context.Context, t *target, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.pid()))
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(text), "\nSigCgt:")
		mask, _, _ := strings.Cut(rest, "\n")
		caught, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		if err != nil {
			return fmt.Errorf("cannot read which signals %s catches: %w", t.name, err)
		}
		if caught>>(signal-1)&1 == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return t.failure(fmt.Errorf("it doesn't catch signal %v: %w", signal, ctx.Err()))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// untilLoaded waits until the master has printed after an offset of its output
// that a configuration is in use.
func untilLoaded(ctx context.Context, t *target, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	file, err := os.Open(t.output)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for {
		text, err := io.ReadAll(io.NewSectionReader(file, offset, 64<<20))
		if err != nil {
			return err
		}
		switch {
		case bytes.Contains(text, []byte("Loading success.")):
			return nil
		case bytes.Contains(text, []byte("Loading failure")):
			return t.failure(errors.New("it can't load its configuration"))
		}
		select {
		case <-t.ended:
			return t.failure(errors.New("it has ended"))
		case <-ctx.Done():
			return t.failure(fmt.Errorf("it doesn't say that its configuration is in use: %w", ctx.Err()))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// writeHAProxy writes its configuration and the map of hosts.
func (l *lab) writeHAProxy(t *target, w *work) (string, error) {
	hosts, backends := strings.Builder{}, strings.Builder{}
	one, two := w.upstream.addresses[0], w.upstream.addresses[1]
	if !w.apart {
		fmt.Fprintf(&backends, haproxyBackend, "pool", one, two)
	}
	for i := range w.hosts {
		pool := "pool"
		if w.apart {
			pool = poolName(i)
			fmt.Fprintf(&backends, haproxyBackend, pool, one, two)
		}
		fmt.Fprintln(&hosts, hostName(i), pool)
	}
	table, err := l.write("haproxy/hosts.map", hosts.String())
	if err != nil {
		return "", err
	}
	secure := ""
	if s := w.secure; s != nil {
		secure = fmt.Sprintf("bind %s ssl crt %s alpn http/1.1 backlog 4096", s.address, s.cert)
	}
	if w.http2.IsValid() {
		secure = fmt.Sprintf("bind %s proto h2 backlog 4096", w.http2)
	}
	grpc := ""
	if w.grpc != nil {
		grpc = "use_backend grpc if { path_beg " + grpcPrefix + " }"
		backends.WriteString(strings.ReplaceAll(fmt.Sprintf(haproxyBackend, "grpc", w.grpc[0], w.grpc[1]), " pool-purge", " proto h2 pool-purge"))
	}
	// It needs two descriptors for a connection, and refuses to start with
	// fewer than maxconn takes.
	connections := min(20_000, int64(l.files)/2-200) //nolint:gosec // G115: a limit of files
	return l.write("haproxy/haproxy.cfg", strings.NewReplacer(
		"{cores}", fmt.Sprint(w.cores), "{connections}", fmt.Sprint(max(connections, 100)),
		"{address}", t.address.String(), "{map}", table, "{backends}", backends.String(), "{secure}", secure, "{grpc}", grpc,
	).Replace(haproxyTemplate))
}
