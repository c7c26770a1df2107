//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// traefikModule is what is built where no traefik is installed. From 3.7 on,
// a package that it needs is in no published module, so that the module proxy
// alone can't build it. The dashboard's files aren't in the module either;
// nobody asks for it here.
var traefikModule = goModule{
	program: "traefik", module: "github.com/traefik/traefik/v3", version: "v3.6.12", command: "cmd/traefik", replaces: true,
}

// traefikTemplate turns off whatever would reach beyond this machine.
const traefikTemplate = `
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: ERROR}
accessLog:
  filePath: {log}
  format: json
  bufferingSize: 1000
entryPoints:
  public:
    address: "{address}"
    transport:
      respondingTimeouts: {readTimeout: 60s, writeTimeout: 60s, idleTimeout: 75s}
      lifeCycle: {graceTimeOut: 1s}
serversTransport:
  maxIdleConnsPerHost: 10000
  forwardingTimeouts: {dialTimeout: 2s, responseHeaderTimeout: 60s, idleConnTimeout: 30s}
providers:
  file: {filename: "{routes}", watch: true}
`

func findTraefik(ctx context.Context, l *lab) (string, error) {
	binary, err := traefikModule.find(ctx, l)
	if err != nil {
		return "", err
	}
	if version, ok := traefikModule.pinned(binary); ok {
		return "Traefik " + version, nil
	}
	return versionOf(ctx, binary, "version", "--format", "Traefik {{.Version}}")
}

// startTraefik runs it with a router for each host, as its providers make
// them. It tries them one after the other, which with 10,000 is two thirds of
// its work; a single router with a regular expression would be no table of
// hosts. It has nothing that makes a request id, so it is spared that.
func startTraefik(ctx context.Context, l *lab, w *work) (*target, error) {
	if err := w.without(peerTraefik); err != nil {
		return nil, err
	}
	binary, err := traefikModule.find(ctx, l)
	if err != nil {
		return nil, err
	}
	t := &target{noRequestID: true}
	if t.address, err = freeAddress(); err != nil {
		return nil, err
	}
	generation := 0
	routes, err := l.writeTraefikRoutes(w, generation)
	if err != nil {
		return nil, err
	}
	file, err := l.write("traefik/traefik.yml", strings.NewReplacer(
		"{log}", accessLogFile, "{address}", t.address.String(), "{routes}", routes,
	).Replace(traefikTemplate))
	if err != nil {
		return nil, err
	}
	cpus, _ := l.cpusFor(w.cores)
	if t.process, err = l.startBound(peerTraefik, cpus, w.goEnv(), binary, "--configFile="+file); err != nil {
		return nil, err
	}
	t.reload = func(ctx context.Context) error {
		generation++
		if _, err := l.writeTraefikRoutes(w, generation); err != nil {
			return err
		}
		return t.untilRouted(ctx, traefikGeneration(generation))
	}
	return t.ready(ctx, w)
}

// traefikGeneration is a host that only one generation of routes has: Traefik
// ignores a file that says nothing new, and this shows when it is in use.
func traefikGeneration(n int) string { return fmt.Sprintf("generation-%d.example.com", n) }

// writeTraefikRoutes replaces the file at once: Traefik reads it as soon as
// anything happens to it.
func (l *lab) writeTraefikRoutes(w *work, generation int) (string, error) {
	routers, services := strings.Builder{}, strings.Builder{}
	router := func(name, host, service string) {
		fmt.Fprintf(&routers, "    %s: {rule: \"Host(`%s`)\", service: %s}\n", name, host, service)
	}
	service := func(name string) {
		fmt.Fprintf(&services, "    %s: {loadBalancer: {servers: [{url: \"http://%s\"}, {url: \"http://%s\"}]}}\n",
			name, w.upstream.addresses[0], w.upstream.addresses[1])
	}
	service("pool")
	router("generation", traefikGeneration(generation), "pool")
	for i := range w.hosts {
		pool := "pool"
		if w.apart {
			pool = poolName(i)
			service(pool)
		}
		router("r"+poolName(i), hostName(i), pool)
	}
	aside, err := l.write("traefik/routes/routes.yml.new", "http:\n  routers:\n"+routers.String()+"  services:\n"+services.String())
	if err != nil {
		return "", err
	}
	file := strings.TrimSuffix(aside, ".new")
	return file, os.Rename(aside, file)
}

// untilRouted waits until a host is known.
func (t *target) untilRouted(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		answer, err := get(ctx, t.address, host, "/")
		if err == nil && answer.status == http.StatusOK {
			return nil
		}
		select {
		case <-t.ended:
			return t.failure(errors.New("it has ended while it should reload"))
		case <-ctx.Done():
			return t.failure(fmt.Errorf("the new routes are not in use: %w", ctx.Err()))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
