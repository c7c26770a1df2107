//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// check demands that a peer does all of the work; a bare one only has to
// bring requests to the upstream.
func (p *peer) check(ctx context.Context, t *target, w *work) error {
	var err error
	if p.bare {
		_, err = echoed(ctx, t, hostName(0))
	} else {
		err = checkWork(ctx, t, w)
	}
	if err != nil {
		return fmt.Errorf("%s doesn't do its work: %w", p.name, err)
	}
	return nil
}

// checkWork asks for each part of the work, and for what must not happen.
func checkWork(ctx context.Context, t *target, w *work) error {
	if err := checkRefusal(ctx, t, w); err != nil {
		return err
	}
	if w.script == scriptAnswerWork {
		return checkScriptAnswer(ctx, t, w)
	}
	for _, i := range []int{0, w.hosts / 2, w.hosts - 1} {
		if err := checkForwarding(ctx, t, w, hostName(i)); err != nil {
			return err
		}
	}
	return nil
}

// checkRefusal demands that a host that is nobody's reaches no upstream.
func checkRefusal(ctx context.Context, t *target, w *work) error {
	answer, err := get(ctx, t.address, "nobody.example.com", "/echo")
	if err != nil {
		return fmt.Errorf("cannot ask for an unknown host: %w", err)
	}
	if answer.status != http.StatusNotFound && answer.status != http.StatusMisdirectedRequest {
		return fmt.Errorf("an unknown host is answered with %d, want 404 or 421, and the body %.200q", answer.status, answer.body)
	}
	answer, err = get(ctx, t.address, hostName(w.hosts), w.script.path())
	if err == nil && answer.status == http.StatusOK {
		err = fmt.Errorf("the host after the last, %s, is served, which must be unknown", hostName(w.hosts))
	}
	return err
}

// echoed is what the upstream answers to /echo: the head that it got.
func echoed(ctx context.Context, t *target, host string) (*answer, error) {
	answer, err := get(ctx, t.address, host, "/echo")
	if err != nil {
		return nil, fmt.Errorf("cannot get /echo of %s: %w", host, err)
	}
	if answer.status != http.StatusOK || !strings.HasPrefix(answer.body, "GET /echo HTTP/1.1\r\n") {
		return nil, fmt.Errorf("got %d and %.200q from /echo of %s, want the head that the upstream got", answer.status, answer.body, host)
	}
	return answer, nil
}

func checkForwarding(ctx context.Context, t *target, w *work, host string) error {
	answer, err := echoed(ctx, t, host)
	if err != nil {
		return err
	}
	wants := map[string]string{
		"Host": host, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": host, "X-Forwarded-Proto": "http",
	}
	if w.script == middlewareWork {
		wants["X-Anon"], wants["X-Tenant"] = "1", "shop"
	}
	seen := fieldsOf(answer.body)
	for name, want := range wants {
		if got := seen.Values(name); len(got) != 1 || got[0] != want {
			return fmt.Errorf("the upstream got %s %q for %s, want %q once", name, got, host, want)
		}
	}
	if got := seen.Get("Connection"); strings.EqualFold(got, "close") {
		return errors.New("the upstream was asked to close the connection, want it kept")
	}
	if got := answer.header.Get("X-Gateway"); (got == "keystone") != (w.script == middlewareWork) {
		return fmt.Errorf("the response has X-Gateway %q with the script %q", got, w.script)
	}
	if t.noRequestID {
		return nil
	}
	return checkRequestID(seen.Values("X-Request-Id"), answer.header.Values("X-Request-Id"))
}

// checkRequestID demands one that is the same in both directions, and long
// enough to be no other request's.
func checkRequestID(sent, answered []string) error {
	if len(sent) != 1 || len(answered) != 1 || sent[0] != answered[0] || len(sent[0]) < 16 {
		return fmt.Errorf("X-Request-Id is %q to the upstream and %q to the client, want one of at least 16 bytes, the same for both", sent, answered)
	}
	return nil
}

// fieldsOf reads the fields of a head.
func fieldsOf(head string) http.Header {
	fields := http.Header{}
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return fields
}

func checkScriptAnswer(ctx context.Context, t *target, w *work) error {
	answer, err := get(ctx, t.address, hostName(w.hosts-1), w.script.path())
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK || answer.body != "hello\n" || answer.header.Get("Content-Type") != "text/plain" || answer.header.Get("Content-Length") != "6" {
		return fmt.Errorf("got %d, %.200q with %v, want hello as text/plain with its length", answer.status, answer.body, answer.header)
	}
	if got := answer.header.Get("X-Request-Id"); len(got) < 16 {
		return fmt.Errorf("the script's answer has X-Request-Id %q, want one of at least 16 bytes", got)
	}
	return nil
}
