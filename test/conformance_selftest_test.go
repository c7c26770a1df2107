package test

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestHarnessReadsAnswers checks the suite's own judgement of answers, without
// a gateway.
func TestHarnessReadsAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, method, raw, want, body string }{
		{"length", "GET", answer("200 OK", "ok", length2), "200", "ok"},
		{"length, more behind", "GET", answer("200 OK", "ok{evil}", length2), "200", "ok"},
		{"chunks", "GET", answer("200 OK", "2;a=b\r\nok\r\n1\r\n!\r\n0\r\nX-A: b\r\n\r\n", chunked), "200", "ok!"},
		{"until the end", "GET", answer("200 OK", "ok"), "200", "ok"},
		{"interim", "GET", "HTTP/1.1 103 x\r\nA: b\r\n\r\n" + answer("204 x", ""), "204", ""},
		{"high bytes", "GET", answer("200 \xff\xe4", "ok", length2, "A: \x80\xff\t"), "200", "ok"},
		{"HEAD", "HEAD", answer("200 OK", "", "Content-Length: 5"), "200", ""},
		{"304", "GET", answer("304 x", "", "Content-Length: 5"), "304", ""},
		{"nothing", "GET", "", "none", ""},
		{"short", "GET", answer("200 OK", "o", length2), "cut", "o"},
		{"short chunk", "GET", answer("200 OK", "5\r\nok", chunked), "cut", "ok"},
		{"no last chunk", "GET", answer("200 OK", "2\r\nok\r\n", chunked), "cut", "ok"},
		{"no end of trailers", "GET", answer("200 OK", "2\r\nok\r\n0\r\n", chunked), "cut", "ok"},
		{"short head", "GET", "HTTP/1.1 200 OK\r\nA: b\r\n", "cut", ""},
		{"CL and TE", "GET", answer("200 OK", "ok", length2, chunked), "malformed", ""},
		{"two lengths", "GET", answer("200 OK", "ok", length2, length2), "malformed", ""},
		{"bad length", "GET", answer("200 OK", "ok", "Content-Length: +2"), "malformed", ""},
		{"bad encoding", "GET", answer("200 OK", "ok", "Transfer-Encoding: x"), "malformed", ""},
		{"length on 204", "GET", answer("204 x", "ok", length2), "malformed", ""},
		{"chunked in HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n" + chunked + "\r\n\r\n0\r\n\r\n", "malformed", ""},
		{"bad version", "GET", lined("HTTP/2.0 200 OK", length2) + "ok", "malformed", ""},
		{"bad status", "GET", answer("20 OK", "ok", length2), "malformed", ""},
		{"bare LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "malformed", ""},
		{"bare CR", "GET", answer("200 OK", "ok", "A: b\rc", length2), "malformed", ""},
		{"fold", "GET", answer("200 OK", "ok", "A: b", " c", length2), "malformed", ""},
		{"space before a colon", "GET", answer("200 OK", "ok", "A : b", length2), "malformed", ""},
		{"NUL", "GET", answer("200 OK", "ok", "A: \x00", length2), "malformed", ""},
		{"bad chunk size", "GET", answer("200 OK", "2 x\r\nok\r\n0\r\n\r\n", chunked), "malformed", ""},
		{"bytes behind a chunk", "GET", answer("200 OK", "2\r\nokay\r\n0\r\n\r\n", chunked), "malformed", "ok"},
		{"bytes instead of an answer", "GET", "EVIL\r\n\r\n", "malformed", ""},
	} {
		raw := strings.ReplaceAll(c.raw, "{evil}", evil)
		got, err := readResponse(bufio.NewReader(strings.NewReader(raw)), c.method)
		if words, _, _ := strings.Cut(outcome(got, err), " "); words != c.want {
			t.Errorf("%s: want %s, got %s (%v)", c.name, c.want, words, err)
		} else if got != nil && words != "malformed" && string(got.body) != c.body {
			t.Errorf("%s: want body %q, got %q", c.name, c.body, got.body)
		}
	}
}

// TestHarnessRecordsRequests talks to a mock directly: good requests, in one
// connection, then one bad thing.
func TestHarnessRecordsRequests(t *testing.T) {
	t.Parallel()
	good := lined("GET /1?q HTTP/1.1", "Host: a", "X-A:  b ") + lined("POST /2 HTTP/1.1", "Host: a", length2) + "ok" +
		lined("POST /3 HTTP/1.1", "Host: a", chunked) + "2\r\nok\r\n0\r\nX-T: 1\r\n\r\n" + lined("HEAD /canary HTTP/1.1", "Host: a")
	for name, c := range map[string]struct {
		bad       string
		violation bool
	}{
		"nothing":              {"", false},
		"a cut request":        {"GET /4 HTT", false},
		"a cut body":           {lined("POST /4 HTTP/1.1", "Host: a", length2) + "o", false},
		"CL and TE":            {lined("POST /4 HTTP/1.1", "Host: a", length2, chunked) + "0\r\n\r\n", true},
		"two lengths":          {lined("POST /4 HTTP/1.1", "Host: a", length2, length2) + "ok", true},
		"no Host":              {lined("GET /4 HTTP/1.1"), true},
		"two Hosts":            {lined("GET /4 HTTP/1.1", "Host: a", "Host: a"), true},
		"two spaces":           {lined("GET  /4 HTTP/1.1", "Host: a"), true},
		"HTTP/1.0":             {lined("GET /4 HTTP/1.0", "Host: a"), true},
		"a fold":               {lined("GET /4 HTTP/1.1", "Host: a", " b"), true},
		"a bare LF":            {"GET /4 HTTP/1.1\nHost: a\r\n\r\n", true},
		"a bad chunk":          {lined("POST /4 HTTP/1.1", "Host: a", chunked) + "2x\r\nok\r\n0\r\n\r\n", true},
		"bytes out of nowhere": {"EVIL\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startMock(t, "self", nil)
			client := dial(t, m.address)
			client.write([]string{good + c.bad}, true)
			for _, method := range []string{"GET", "POST", "POST", "HEAD"} {
				if got := outcome(readResponse(client.reader, method)); got != "200" {
					t.Fatalf("want 200 from the mock, got %s", got)
				}
			}
			eventually(t, patience, "the mock ends the connection", func() bool { return m.open() == 0 })
			if got := m.violations(); (len(got) > 0) != c.violation {
				t.Errorf("violations are %q, want some: %v", got, c.violation)
			}
			whole := m.completed()
			if len(whole) != 4 || !slices.Equal(starts(m.smuggled()), []string{"HEAD /canary HTTP/1.1"}) {
				t.Fatalf("the mock recorded %q as whole and %q as canaries", starts(whole), starts(m.smuggled()))
			}
			for i, wrong := range []string{
				target("/1?q")(whole[0]), values("X-A", "b")(whole[0]), line("X-A:  b ")(whole[0]), body("ok")(whole[1]),
				body("ok")(whole[2]), trailer("X-T", "1")(whole[2]),
			} {
				if wrong != "" {
					t.Errorf("check %d: %s", i, wrong)
				}
			}
			if wrong := without("X-A")(whole[0]); wrong == "" {
				t.Error("a field that is there passes as missing")
			}
		})
	}
}

// TestHarnessEndings checks that a client sees how a mock ends.
func TestHarnessEndings(t *testing.T) {
	t.Parallel()
	for end, want := range map[ending]string{fin: "cut", reset: "cut"} {
		m := startMock(t, fmt.Sprintf("end-%d", end), func(*request) reply {
			return reply{parts: []string{answer("200 OK", "o", length2)}, end: end}
		})
		client := dial(t, m.address)
		client.send(t, lined("GET / HTTP/1.1", "Host: a"))
		if got := outcome(readResponse(client.reader, "GET")); got != want {
			t.Errorf("ending %d: want %s, got %s", end, want, got)
		}
	}
	m := startMock(t, "hang", func(*request) reply { return reply{end: hang} })
	client := dial(t, m.address)
	client.send(t, lined("GET / HTTP/1.1", "Host: a"))
	client.close()
	eventually(t, patience, "the mock notices the client's end", func() bool { return m.letGo() == 1 })
	var violation malformed
	if _, err := readResponse(bufio.NewReader(strings.NewReader("x")), "GET"); !errors.As(err, &violation) && err == nil {
		t.Error("half a line passes as an answer")
	}
}
