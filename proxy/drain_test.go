package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestDrainFinishesWhatItBegins sends requests on connections that have been
// idle for long, while a drain closes them: one that reaches the target must
// be answered.
func TestDrainFinishesWhatItBegins(t *testing.T) {
	t.Parallel()
	var executed atomic.Int64
	address := target(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if request.Method == http.MethodPost {
				executed.Add(1)
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
				return
			}
		}
	})
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "server: {address: \"127.0.0.1:0\"}\naccess_log: {enabled: false}\ntenants:\n" +
		"  - {name: a, domains: [example.com], services: [{url: \"http://" + address + "\"}]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Options{File: file, Config: config, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(ctx) }()

	const clients, senders = 400, 8
	conns, readers := make([]net.Conn, clients), make([]*bufio.Reader, clients)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", server.Addr().String()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conns[i].Close() })
		readers[i] = bufio.NewReader(conns[i])
		send(t, conns[i], "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if err := answered(readers[i]); err != nil {
			t.Fatal(err)
		}
	}
	idle := time.Now()
	eventually(t, "they are idle for longer than a drain waits", func() bool { return time.Since(idle) > 600*time.Millisecond })
	ask := func(conn net.Conn) {
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n") // it may be closed
	}
	for i := range clients / 8 { // so many begin for certain
		ask(conns[i])
	}
	eventually(t, "a target has been asked", func() bool { return executed.Load() > 0 })
	var sending sync.WaitGroup
	for sender := range senders {
		sending.Go(func() {
			for i := clients/8 + sender; i < clients; i += senders {
				if i == clients/4 {
					stop()
				}
				ask(conns[i])
			}
		})
	}
	sending.Wait()
	got := int64(0)
	for _, reader := range readers {
		if answered(reader) == nil {
			got++
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if executed.Load() != got || got == 0 {
		t.Errorf("%d requests were executed and %d answered", executed.Load(), got)
	}
	t.Logf("%d of %d requests were answered", got, clients)
}
