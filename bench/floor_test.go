//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// TestForwarder demands that nothing is lost or turned around when a client
// takes nothing for a while, so that more is under way than all buffers hold.
func TestForwarder(t *testing.T) {
	t.Parallel()
	text := make([]byte, 40<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text)
	upstream, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = upstream.Close() }()
	blocked := make(chan error, 1)
	go func() {
		conn, err := upstream.Accept()
		if err != nil {
			blocked <- err
			return
		}
		defer func() { _ = conn.Close() }()
		// Until it can't write any more: nothing for a while. On a busy machine
		// that may be too early, and less is tested.
		sent, n := 0, 1
		for n > 0 && err == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err = conn.Write(text[sent:])
			if sent += n; errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
		}
		blocked <- err
		_ = conn.SetWriteDeadline(time.Time{})
		_, _ = conn.Write(text[sent:])
	}()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runForwarder(ctx, []string{address.String(), upstream.Addr().String(), upstream.Addr().String(), "1"})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	client := dialWhenReady(t, address.String())
	defer func() { _ = client.Close() }()
	if err := <-blocked; err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %d bytes, %v, want all %d unchanged", len(got), err, len(text))
	}
}

func dialWhenReady(t *testing.T, address string) net.Conn {
	t.Helper()
	for began := time.Now(); ; {
		conn, err := net.Dial("tcp4", address)
		if err == nil {
			return conn
		}
		if time.Since(began) > patience {
			t.Fatal(err)
		}
	}
}

func TestForwarderArguments(t *testing.T) {
	t.Parallel()
	good := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "1"}
	for i, bad := range []string{"localhost:1", "[::1]:2", "127.0.0.1", "0"} {
		args := append([]string{}, good...)
		args[i] = bad
		if err := runForwarder(t.Context(), args); err == nil {
			t.Errorf("arguments %q: no error", args)
		}
	}
	if err := runForwarder(t.Context(), good[:3]); err == nil {
		t.Error("three arguments: no error")
	}
}
