package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/raw"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// patience bounds the wait for what must happen.
const patience = time.Minute

// start runs a server with that configuration, which must not set
// server.address, until the test ends.
func start(t testing.TB, config string) *proxy.Server {
	t.Helper()
	return serve(t, "server: {address: \"127.0.0.1:0\"}\n"+config)
}

// serve runs a server with that configuration until the test ends.
func serve(t testing.TB, config string) *proxy.Server {
	t.Helper()
	return runLogged(t, config, zerolog.Nop())
}

// runLogged is serve with a log.
func runLogged(t testing.TB, config string, log zerolog.Logger) *proxy.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return runFile(t, file, log)
}

// runFile is runLogged with a file, which the test may change.
func runFile(t testing.TB, file string, log zerolog.Logger) *proxy.Server {
	t.Helper()
	loaded, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Options{File: file, Config: loaded, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server
}

// target starts an upstream that does with each connection what it is given.
var target = raw.Serve

// answering starts an upstream that answers every request head with the same
// bytes, and allocates nothing while it does.
func answering(t testing.TB, answer string) (address string) {
	t.Helper()
	return target(t, func(conn net.Conn) {
		buf, out := make([]byte, 64<<10), []byte(answer)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	})
}

var eventually = until.True

func send(t *testing.T, conn net.Conn, part string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, part); err != nil {
		t.Fatal(err)
	}
}

// answered reads one response.
func answered(in *bufio.Reader) error {
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(body) != "hello") {
		err = fmt.Errorf("got %s with %q, want 200 with \"hello\"", response.Status, body)
	}
	return err
}
