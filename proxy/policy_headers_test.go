package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// echoing is a target that answers with the head that it got, and fields.
func echoing(t *testing.T, fields string) (address string) {
	t.Helper()
	return target(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			var head strings.Builder
			for !strings.HasSuffix(head.String(), "\r\n\r\n") {
				line, err := reader.ReadString('\n')
				if err != nil {
					return
				}
				head.WriteString(line)
			}
			if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", fields, head.Len(), head.String()); err != nil {
				return
			}
		}
	})
}

// linesOf returns those lines of a head that begin with one of the names and a
// colon.
func linesOf(head string, names ...string) (list []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		if slices.Contains(names, name) {
			list = append(list, line)
		}
	}
	return list
}

// TestHeadersOfRequests looks at what targets get.
func TestHeadersOfRequests(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	for _, c := range []struct {
		edits, fields string
		names         string
		want          string // lines of these names
	}{
		{"set: {X-A: new}", "", "X-A", "X-A: new"},
		{"set: {X-A: new}", "X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX_A: 4\r\n", "X-A x-a X_A X-B", "X-A: new|X-B: 2"},
		{"set: {X-A: [b, c]}", "X-A: 1\r\nX-B: 2\r\n", "X-A X-B", "X-A: b|X-B: 2|X-A: c"},
		{"set: {X-A: ''}", "X-A: 1\r\n", "X-A", "X-A: "},
		{"set: {X_A: new}", "X-A: 1\r\n", "X-A X_A", "X_A: new"},
		{"add: {X-A: new}", "X-A: 1\r\n", "X-A", "X-A: 1|X-A: new"},
		{"add: {X-A: [b, c]}", "", "X-A", "X-A: b|X-A: c"},
		{"remove: X-A", "X-A: 1\r\nx-a: 2\r\nX_a: 3\r\nX-AB: 4\r\n", "X-A x-a X_a X-AB", "X-AB: 4"},
		{"remove: [X-A], add: {X-A: mine}", "X-A: 1\r\n", "X-A", "X-A: mine"},
		{"remove: [Cookie, authorization, User-Agent]", "Cookie: a=b\r\nAuthorization: x\r\nUser-Agent: y\r\n", "Cookie Authorization User-Agent", ""},
		// A client that has a field dropped at this hop gets nothing by it.
		{"set: {X-User: alice}", "X-User: mallory\r\nConnection: X-User\r\n", "X-User Connection", "X-User: alice"},
		{"set: {X-Real-IP: '${client_address}', X-Forwarded-Prefix: /api}", "X-Real-IP: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nX_Forwarded_Prefix: /evil\r\n", "X-Real-IP X-Forwarded-Prefix X_Forwarded_Prefix", "X-Real-IP: 127.0.0.1|X-Forwarded-Prefix: /api"},
		{"set: {X-All: '${tenant} at ${host} for ${client_address}, $${host} $host {host}'}", "", "X-All", "X-All: a at example.com for 127.0.0.1, ${host} $host {host}"},
		{"set: {X-Id: '${request_id}'}", "X-Request-Id: forged\r\n", "X-None", ""},
		{"set: {X-Tab: \"a\\tb\", X-Utf8: é}", "", "X-Tab X-Utf8", "X-Tab: a\tb|X-Utf8: é"},
	} {
		server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [EXAMPLE.com], policies: [{headers: {request: {"+c.edits+"}}}], services: [{url: 'http://"+up+"'}]}\n")
		_, body := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: Example.COM:80\r\n"+c.fields+"\r\n")
		got := linesOf(body, strings.Fields(c.names)...)
		want := strings.Split(c.want, "|")
		if c.want == "" {
			want = nil
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s of %q:\ngot  %q\nwant %q\nof %q", c.edits, c.fields, got, want, body)
		}
		id := linesOf(body, "X-Id", "X-Request-Id")
		if strings.Contains(c.edits, "request_id") && (len(id) != 2 || strings.TrimPrefix(id[0], "X-Id: ") != strings.TrimPrefix(id[1], "X-Request-Id: ") && strings.TrimPrefix(id[1], "X-Id: ") != strings.TrimPrefix(id[0], "X-Request-Id: ")) {
			t.Errorf("the ids differ: %q", id)
		}
	}
}

// TestHeadersAreEachRequestsOwn: on one connection, nothing of a request is found in
// the next one.
func TestHeadersAreEachRequestsOwn(t *testing.T) {
	t.Parallel()
	server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: ['*.example.com'], policies: [{headers: {request: {remove: X-Gone, set: {X-Host: '${host}'}, add: {X-More: '${request_id}'}}, response: {set: {X-Host: '${host}'}}}}], services: [{url: 'http://"+echoing(t, "")+"'}]}\n")
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for i := range 20 {
		host := strings.Repeat("a", 1+i%5) + ".example.com"
		send(t, conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\nX-Gone: 1\r\nX-Kept: "+fmt.Sprint(i)+"\r\n\r\n")
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(linesOf(string(body), "X-Gone", "X-Host", "X-More", "X-Kept"), "|")
		want := fmt.Sprintf("X-Kept: %d|X-Host: %s|X-More: %s", i, host, answer.Header.Get("X-Request-Id"))
		if got != want || strings.Join(answer.Header.Values("X-Host"), "|") != host {
			t.Fatalf("request %d: got %q and %v, want %q", i, got, answer.Header, want)
		}
	}
}

// askRaw sends a request, and returns the answer with its body.
func askRaw(t *testing.T, address, request string) (*http.Response, string) {
	t.Helper()
	return askAt(t, "tcp", address, request)
}

func askAt(t *testing.T, network, address, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	send(t, conn, request)
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}
