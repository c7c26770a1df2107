package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestPanicsEndTheirRequestOnly: a fault of the gateway's own that panics ends
// one request, at whatever stage it is: answered where that is still possible,
// cut where it isn't, never looking complete. It is counted and logged with its
// stack, and nothing of the request is left: no request in flight, no connection,
// no memory.
func TestPanicsEndTheirRequestOnly(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("hello ", 1000)
	address := target(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6000\r\n\r\n"+text)
		}
	})
	config := "server: {address: \"127.0.0.1:0\"}\naccess_log: {enabled: false}\ncompression: {enabled: true}\ntenants:\n"
	stages := []string{"route", "forward", "respond"}
	for _, name := range append(stages, "fine") {
		config += "  - {name: " + name + ", domains: [" + name + ".example.com], services: [{name: main, url: \"http://" + address + "\"}]}\n"
	}
	log := new(lockedBuffer)
	server := runLogged(t, config, zerolog.New(log))
	held := server.Memory().Held
	for i, stage := range stages {
		server.Spoil(stage, stage)
		targets := map[string]int64{}
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		send(t, conn, "GET /"+stage+" HTTP/1.1\r\nHost: "+stage+".example.com\r\nAccept-Encoding: gzip\r\n\r\n")
		in := bufio.NewReader(conn)
		response, err := http.ReadResponse(in, nil)
		switch {
		case stage == "respond": // the head is on its way with the body, which can't be made
			if err == nil {
				_, err = io.ReadAll(response.Body)
			}
			if err == nil {
				t.Errorf("%s: an answer that could not be made looks whole", stage)
			}
		case stage == "route": // even the ending fails: the connection is given up, perhaps before the answer is read
			if err == nil && response.StatusCode != http.StatusInternalServerError {
				t.Errorf("%s: got %s, want 500 or nothing", stage, response.Status)
			}
		case err != nil:
			t.Errorf("%s: %v, want 500", stage, err)
		case response.StatusCode != http.StatusInternalServerError || response.Header.Get("X-Gateway-Error") != "internal_error" || !response.Close:
			t.Errorf("%s: got %s, %v", stage, response.Status, response.Header)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
		}
		if _, err := in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection goes on: %v", stage, err)
		}
		_ = conn.Close()
		eventually(t, stage+": nothing is left of it", func() bool {
			for view := range server.Tenants() {
				if view.Name == "forward" { // whose pool is spoilt
					continue
				}
				for _, target := range view.Pool.Targets() {
					targets[view.Name] = target.InFlight.Load()
				}
			}
			return server.InFlight() == 0 && server.Open() == 0 && targets[stage] == 0 && server.Memory().Held == held
		})
		eventually(t, stage+": each panic is counted and logged", func() bool {
			text := log.String()
			return server.Counters().Panics == uint64(strings.Count(text, "a request was answered 500, or cut")+strings.Count(text, "a goroutine has panicked"))
		})
		if text := log.String(); strings.Count(text, "a request was answered 500, or cut") != i+1 || !strings.Contains(text, `"tenant":"`+stage+`"`) {
			t.Errorf("%s: the log is %.2000s", stage, text)
		}
	}
	if text := log.String(); !strings.Contains(text, "a goroutine has panicked") || !strings.Contains(text, "exchange.go") {
		t.Errorf("the log says nothing of the ending that failed, or has no stack: %.2000s", text)
	}
	response, err := http.DefaultClient.Do(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: server.Addr().String(), Path: "/"}, Host: "fine.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); string(body) != text || err != nil {
		t.Errorf("a tenant whose requests are fine: %d bytes, %v", len(body), err)
	}
}
