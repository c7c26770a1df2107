package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// changing is a server whose configuration is written anew.
type changing struct {
	*proxy.Server
	file, rest string
}

func (c *changing) write(t *testing.T, listeners string) {
	t.Helper()
	if err := os.WriteFile(c.file, []byte("listeners:\n"+listeners+c.rest), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *changing) reload(t *testing.T, listeners string) proxy.ReloadResult {
	t.Helper()
	c.write(t, listeners)
	return c.Reload()
}

func serveChanging(t *testing.T, listeners, rest string) *changing {
	t.Helper()
	c := &changing{file: filepath.Join(t.TempDir(), "config.yaml"), rest: rest}
	c.write(t, listeners)
	loaded, err := proxy.Load(c.file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Server, err = proxy.New(proxy.Options{File: c.file, Config: loaded, Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// swallowing is a target that answers with the length of what it was sent, once let
// has a value for each request to /wait, and echoes in a tunnel.
func swallowing(t *testing.T, let <-chan struct{}) (address string) {
	t.Helper()
	return target(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if request.Header.Get("Upgrade") != "" {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_, _ = io.Copy(conn, in)
				return
			}
			n, _ := io.Copy(io.Discard, request.Body)
			if request.URL.Path == "/wait" {
				<-let
			}
			body := fmt.Sprint(n)
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// readAll reads a response.
func readAll(t *testing.T, in *bufio.Reader) (status int, body string, closes bool) {
	t.Helper()
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	return response.StatusCode, string(content), response.Close
}

// TestReloadListeners adds, changes and removes listeners, and has connections of the
// one that stays carry on: a kept one, a tunnel, half a body.
func TestReloadListeners(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	first, second, third := port.Reserve(t), port.Reserve(t), port.Reserve(t)
	server := serveChanging(t, fmt.Sprintf("- {address: %q}\n- {address: %q}\n", first, second), shop(swallowing(t, let)))
	dialTo := func(address string) net.Conn { return dialTCP(t, address) }
	read := func(in *bufio.Reader) (status int, body string, closes bool) { return readAll(t, in) }
	kept, tunnel, upload := dialTo(first), dialTo(first), dialTo(first)
	gone, busy := dialTo(second), dialTo(second)
	inKept, inTunnel, inUpload, inBusy := bufio.NewReader(kept), bufio.NewReader(tunnel), bufio.NewReader(upload), bufio.NewReader(busy)
	send(t, kept, get)
	send(t, gone, get)
	send(t, tunnel, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if response, err := http.ReadResponse(inTunnel, nil); err != nil || response.StatusCode != 101 {
		t.Fatalf("no tunnel: %v", err)
	}
	half := strings.Repeat("x", 100_000)
	send(t, upload, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 200000\r\n\r\n"+half)
	send(t, busy, "GET /wait HTTP/1.1\r\nHost: example.com\r\n\r\n")
	read(inKept)
	read(bufio.NewReader(gone))
	eventually(t, "the others are under way", func() bool { return server.InFlight() == 3 })

	result := server.reload(t, fmt.Sprintf("- {address: %q}\n- {address: %q, name: first, max_requests_per_connection: 3, max_connections: 3}\n", third, first))
	if want := fmt.Sprintf("[listener %q added listener \"first\" (%s) changed listener %q removed]", third, first, second); !result.OK || fmt.Sprint(result.Changes) != want {
		t.Fatalf("%v, changes %v, want %s", result.Errors, result.Changes, want)
	}
	if response := request(t, dialTo(third), get); response.StatusCode != 200 {
		t.Errorf("the new listener: %s", response.Status)
	}
	if response := request(t, dialTo(first), get); response.StatusCode != 503 {
		t.Errorf("a fourth connection where three may be by now: %s", response.Status)
	}
	if _, err := net.Dial("tcp", second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the listener that was removed: %v", err)
	}
	carryOn(t, kept, tunnel, upload, inKept, inTunnel, inUpload, half)
	_ = gone.SetReadDeadline(time.Now().Add(patience))
	if n, err := gone.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection of the removed listener: %d, %v", n, err)
	}
	let <- struct{}{}
	if status, _, closes := read(inBusy); status != 200 || !closes {
		t.Errorf("a request under way of the removed listener: %d, closes %t", status, closes)
	}
	eventually(t, "the removed listener is forgotten", func() bool { return len(server.Listeners()) == 2 })
}

// carryOn has connections of the listener that stays do what they were about to.
func carryOn(t *testing.T, kept, tunnel, upload net.Conn, inKept, inTunnel, inUpload *bufio.Reader, half string) {
	t.Helper()
	read := func(in *bufio.Reader) (status int, body string, closes bool) { return readAll(t, in) }
	send(t, kept, get)
	if status, _, closes := read(inKept); status != 200 || closes {
		t.Errorf("the kept connection: %d, closes %t", status, closes)
	}
	send(t, kept, get)
	if status, _, closes := read(inKept); status != 200 || !closes {
		t.Errorf("its third request: %d, closes %t", status, closes)
	}
	send(t, tunnel, "ping")
	if echo := make([]byte, 4); true {
		if _, err := io.ReadFull(inTunnel, echo); err != nil || string(echo) != "ping" {
			t.Errorf("the tunnel: %q, %v", echo, err)
		}
	}
	send(t, upload, half)
	if status, body, _ := read(inUpload); status != 200 || body != "200000" {
		t.Errorf("the upload: %d, %q", status, body)
	}
}

// TestReloadToTakenAddress: an address that somebody has leaves all as it was, and
// it is said who has it.
func TestReloadToTakenAddress(t *testing.T) {
	t.Parallel()
	first, other := port.Reserve(t), port.Reserve(t)
	server := serveChanging(t, fmt.Sprintf("- {address: %q}\n", first), shop(answering(t, helloResponse)))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	kept := dialAt(t, server.Server, 0)
	if response := request(t, kept, get); response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	result := server.reload(t, fmt.Sprintf("- {address: %q}\n- {address: %q}\n", other, taken.Addr()))
	if result.Applied || !strings.Contains(fmt.Sprint(result.Errors), fmt.Sprintf("the address is in use by this process (pid %d) itself", os.Getpid())) {
		t.Errorf("a taken address: %+v", result)
	}
	if _, err := net.Dial("tcp", other); err == nil {
		t.Error("the other new listener is open although nothing was to change")
	}
	if response := request(t, kept, get); response.StatusCode != 200 {
		t.Errorf("the kept connection: %s", response.Status)
	}
	_ = taken.Close()
	if result := server.Reload(); !result.OK {
		t.Errorf("once the address is free: %v", result.Errors)
	}
}
