package proxy_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestStoreConcurrency: what is in progress at one gateway counts at another, until it has
// ended; who waits there is let in then.
func TestStoreConcurrency(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan string, 8), make(chan struct{})
	up := target(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			arrived <- request.URL.Path
			if request.URL.Path == "/slow" {
				<-release
			}
			if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")); err != nil {
				return
			}
		}
	})
	config := storeLine(redistest.Start(t).Address) + "access_log: {enabled: false}\nserver: {address: '127.0.0.1:0'}\ntenants:\n" +
		"  - {name: a, domains: [a.example.com], policies: [{concurrency: {max: 1}}], services: [{url: 'http://" + up + "'}]}\n" +
		"  - {name: b, domains: [b.example.com], policies: [{concurrency: {max: 1, queue: 1, queue_timeout: 10m}}], services: [{url: 'http://" + up + "'}]}\n"
	first, second := runLogged(t, config, zerolog.Nop()), runLogged(t, config, zerolog.Nop())
	for _, server := range []*proxy.Server{first, second} {
		until.True(t, "the store is here", func() bool { return hereAt(server) })
	}
	open := func(server *proxy.Server, host, path string) *bufio.Reader {
		conn := dial(t, server)
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: "+host+".example.com\r\nConnection: close\r\n\r\n")
		return bufio.NewReader(conn)
	}
	status := func(r *bufio.Reader) (int, string) {
		t.Helper()
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, answer.Header.Get("X-Gateway-Error")
	}
	slow := []*bufio.Reader{open(first, "a", "/slow"), open(first, "b", "/slow")}
	<-arrived
	<-arrived
	if code, why := status(open(second, "a", "/a")); code != 503 || why != "concurrency_exceeded" {
		t.Errorf("at the other gateway: %d %s", code, why)
	}
	waits := open(second, "b", "/b")
	until.True(t, "it waits", func() bool { return second.InFlight() == 1 })
	close(release)
	for _, r := range append(slow, waits) {
		if code, why := status(r); code != 200 {
			t.Errorf("got %d %s", code, why)
		}
	}
	until.True(t, "there is room again", func() bool {
		code, _ := status(open(second, "a", "/again"))
		return code == 200
	})
}
