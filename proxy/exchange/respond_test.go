package exchange_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// endings is an observer that keeps what an exchange has come to.
type endings struct {
	code, cause string
	attempts    int
	out, in     int64
	tunnelled   bool
	failures    uint64 // of the target
	origin      string
}

func (e *endings) End(r *exchange.Record) {
	e.code, e.attempts, e.out, e.in = r.Code, r.Attempts, r.BytesOut, r.BytesIn
	e.tunnelled, e.origin = r.Tunnelled, r.Origin.String()
	if r.Target != nil {
		e.failures = r.Target.Failures.Load()
	}
	if r.Cause != nil {
		e.cause = r.Cause.Error()
	}
}

// lines are fields as text, but for what differs each time.
func lines(s *exchangetest.Stream) string {
	var list []string
	for _, f := range s.Header {
		value := string(f.Value)
		if value == s.Field("X-Request-Id") {
			value = "ID"
		}
		if strings.EqualFold(string(f.Name), "Date") && len(value) == len("Mon, 02 Jan 2006 15:04:05 GMT") {
			value = "NOW"
		}
		list = append(list, string(f.Name)+": "+value)
	}
	return strings.Join(list, "|")
}

// compressing turns compression on.
func compressing(g *exchange.Generation, t *exchange.Tenant) {
	limits, coding := tenants.DefaultRequestLimits(), tenants.DefaultCompression()
	coding.Enabled, coding.MinSize, coding.ContentTypes = true, 100, []string{" Text/Plain "}
	t.Bounds = exchange.NewBounds(&limits, tenants.ClientTimeoutsConfig{}, &coding)
	g.Bounds = t.Bounds
}

// TestResponses: what a client gets of a target's answer.
func TestResponses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("compressible ", 20)
	type change = func(*exchange.Generation, *exchange.Tenant)
	date := func(g *exchange.Generation, _ *exchange.Tenant) { g.AddDate = true }
	via := func(g *exchange.Generation, _ *exchange.Tenant) { g.Via = "gw" }
	gzipped := []string{"Accept-Encoding", "x-br, GZIP ; q=0.1"}
	text := func(lines ...string) string {
		return strings.Join(append(append([]string{"200 OK", fmt.Sprint("Content-Length: ", len(long)), "Content-Type: text/plain; charset=utf-8"}, lines...), "", long), "\n")
	}
	const kept, coded = "Content-Type: text/plain; charset=utf-8", "|Content-Encoding: gzip|Vary: Accept-Encoding|X-Request-Id: ID"
	none := plain(exchangetest.Request("HEAD", "a.example.com", "/p"))
	for _, c := range []struct {
		name    string
		change  change
		head    message.Request
		answer  string // lines
		status  int
		want    string // fields
		content string
		length  int64
		trailer string
		coded   bool
	}{
		{"plain", nil, get(), "200 Fine\nContent-Length: 2\nX-A: b\n\nok", 200, "Content-Length: 2|X-A: b|X-Request-Id: ID", "ok", 2, "", false},
		{"of this hop, or the gateway's to say", nil, get(), "200 OK\nContent-Length: 2\nConnection: X-B\nKeep-Alive: 1\nProxy-Authenticate: a\nTE: x\nUpgrade: h2\nHTTP2-Settings: x\n" +
			"X-Request-Id: forged\nX-Gateway-Error: forged\nTrailer: x\nDate: then\nVia: 1.1 b\nVary: a\n\nok", 200,
			"Content-Length: 2|Trailer: x|Date: then|Via: 1.1 b|Vary: a|X-Request-Id: ID", "ok", 2, "", false},
		{"a date", date, get(), "200 OK\nContent-Length: 0\n\n", 200, "Content-Length: 0|Date: NOW|X-Request-Id: ID", "", 0, "", false},
		{"a date that there is", date, get(), "200 OK\nContent-Length: 0\ndate: then\n\n", 200, "Content-Length: 0|date: then|X-Request-Id: ID", "", 0, "", false},
		{"via", via, get(), "200 OK\nContent-Length: 0\nVia: 1.0 a\n\n", 200, "Content-Length: 0|X-Request-Id: ID|Via: 1.0 a, 1.1 gw", "", 0, "", false},
		{"unsized", nil, get(), "200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\nX-T: 1\n\n", 200, "X-Request-Id: ID", "ok", -1, "X-T: 1", false},
		{"until the end", nil, get(), "200 OK\n\nok", 200, "X-Request-Id: ID", "ok", -1, "", false},
		{"426", nil, get(), "426 x\nUpgrade: a\nContent-Length: 0\n\n", 426, "Upgrade: a|Content-Length: 0|X-Request-Id: ID", "", 0, "", false},
		{"204", nil, get(), "204 x\nX-A: b\n\n", 204, "X-A: b|X-Request-Id: ID", "", -1, "", false},
		{"304", nil, get(), "304 x\nContent-Length: 7\n\n", 304, "Content-Length: 7|X-Request-Id: ID", "", 7, "", false},
		{"HEAD", nil, none, "200 x\nContent-Length: 7\n\n", 200, "Content-Length: 7|X-Request-Id: ID", "", 7, "", false},

		{"not asked for", compressing, get(), text(), 200, "Content-Length: 260|" + kept + "|Vary: Accept-Encoding|X-Request-Id: ID", long, 260, "", false},
		{"compressed", compressing, get(gzipped...), text(), 200, kept + coded, long, -1, "", true},
		{"off", nil, get(gzipped...), text(), 200, "Content-Length: 260|" + kept + "|X-Request-Id: ID", long, 260, "", false},
		{"refused", compressing, get("Accept-Encoding", "gzip;q=0.00"), text(), 200, "Content-Length: 260|" + kept + "|Vary: Accept-Encoding|X-Request-Id: ID", long, 260, "", false},
		{"another coding", compressing, get("Accept-Encoding", "deflate"), text(), 200, "Content-Length: 260|" + kept + "|Vary: Accept-Encoding|X-Request-Id: ID", long, 260, "", false},
		{"what is about plain bytes", compressing, get(gzipped...), text(`ETag: "a"`, "Digest: a", "Content-MD5: a", "Repr-Digest: a", "Accept-Ranges: a", "Content-Digest: a", "Digests: b", "Vary: a, b"), 200,
			kept + `|ETag: W/"a"|Digests: b|Content-Encoding: gzip|Vary: a, b, Accept-Encoding|X-Request-Id: ID`, long, -1, "", true},
		{"weak already", compressing, get(gzipped...), text(`ETag: W/"a"`, "Vary: accept-encoding", "Vary: x"), 200,
			kept + `|ETag: W/"a"|Content-Encoding: gzip|Vary: accept-encoding, x|X-Request-Id: ID`, long, -1, "", true},
		{"no tag", compressing, get(gzipped...), text("ETag:", "Vary: *"), 200, kept + "|ETag: |Content-Encoding: gzip|Vary: *|X-Request-Id: ID", long, -1, "", true},
		{"not to be changed", compressing, get(gzipped...), text("Cache-Control: max-age=1, No-Transform"), 200, "Content-Length: 260|" + kept + "|Cache-Control: max-age=1, No-Transform|X-Request-Id: ID", long, 260, "", false},
		{"coded already", compressing, get(gzipped...), text("Content-Encoding: br"), 200, "Content-Length: 260|" + kept + "|Content-Encoding: br|X-Request-Id: ID", long, 260, "", false},
		{"the least", compressing, get(gzipped...), "200 x\nContent-Length: 100\nContent-Type: TEXT/plain\n\n" + long[:100], 200, "Content-Type: TEXT/plain" + coded, long[:100], -1, "", true},
		{"less than the least", compressing, get(gzipped...), "200 x\nContent-Length: 99\nContent-Type: text/plain\n\n" + long[:99], 200,
			"Content-Length: 99|Content-Type: text/plain|Vary: Accept-Encoding|X-Request-Id: ID", long[:99], 99, "", false},
		{"another type", compressing, get(gzipped...), "200 x\nContent-Length: 100\nContent-Type: text/html\n\n" + long[:100], 200, "Content-Length: 100|Content-Type: text/html|X-Request-Id: ID", long[:100], 100, "", false},
		{"a part", compressing, get(gzipped...), "206 x\nContent-Length: 100\nContent-Type: text/plain\n\n" + long[:100], 206,
			"Content-Length: 100|Content-Type: text/plain|Vary: Accept-Encoding|X-Request-Id: ID", long[:100], 100, "", false},
		{"the last good status", compressing, get(gzipped...), "299 x\nContent-Length: 100\nContent-Type: text/plain\n\n" + long[:100], 299, "Content-Type: text/plain" + coded, long[:100], -1, "", true},
		{"an error", compressing, get(gzipped...), "300 x\nContent-Length: 100\nContent-Type: text/plain\n\n" + long[:100], 300, "Content-Length: 100|Content-Type: text/plain|X-Request-Id: ID", long[:100], 100, "", false},
		{"of unknown length", compressing, get(gzipped...), "200 x\nTransfer-Encoding: chunked\nContent-Type: text/plain\nTrailer: Digest, X-T, content-md5, X-U\n\n2\nok\n0\nDigest: 1\nX-T: 2\n\n", 200,
			"Content-Type: text/plain|Trailer: X-T, X-U" + coded, "ok", -1, "X-T: 2", true},
		{"with no other trailer", compressing, get(gzipped...), "200 x\nTransfer-Encoding: chunked\nContent-Type: text/plain\nTrailer: Digest\n\n2\nok\n0\nDigest: 1\n\n", 200,
			"Content-Type: text/plain" + coded, "ok", -1, "", true},
		{"HEAD of it", compressing, plain(exchangetest.Request("HEAD", "a.example.com", "/p", gzipped...)), "200 x\nContent-Length: 100\nContent-Type: text/plain\n\n", 200, "Content-Type: text/plain" + coded, "", -1, "", false},
		{"an old client", compressing, func() message.Request { r := get(gzipped...); r.Unsized = false; return r }(), text(), 200,
			"Content-Length: 260|" + kept + "|Vary: Accept-Encoding|X-Request-Id: ID", long, 260, "", false},
		{"304 of it", compressing, get(append(gzipped, "If-None-Match", `W/"a"`)...), "304 x\nETag: \"a\"\n\n", 304, `ETag: W/"a"|Vary: Accept-Encoding|X-Request-Id: ID`, "", -1, "", false},
		{"304 of what was plain", compressing, get(append(gzipped, "If-None-Match", `"b"`, "If-None-Match", `"a"`)...), "304 x\nETag: \"a\"\n\n", 304, `ETag: "a"|Vary: Accept-Encoding|X-Request-Id: ID`, "", -1, "", false},
		{"304 of both", compressing, get(append(gzipped, "If-None-Match", `"a", W/"a"`)...), "304 x\nETag: \"a\"\n\n", 304, `ETag: W/"a"|Vary: Accept-Encoding|X-Request-Id: ID`, "", -1, "", false},
		{"304 of another type", compressing, get(gzipped...), "304 x\nContent-Type: text/html\nETag: \"a\"\n\n", 304, `Content-Type: text/html|ETag: "a"|X-Request-Id: ID`, "", -1, "", false},
		{"304 of a type", compressing, get(append(gzipped, "If-None-Match", `"a"`)...), "304 x\nContent-Type: text/plain\nETag: \"a\"\n\n", 304, `Content-Type: text/plain|ETag: W/"a"|Vary: Accept-Encoding|X-Request-Id: ID`, "", -1, "", false},
		{"304 of what is coded", compressing, get(gzipped...), "304 x\nContent-Encoding: br\n\n", 304, "Content-Encoding: br|X-Request-Id: ID", "", -1, "", false},
		{"304 of what isn't to be changed", compressing, get(gzipped...), "304 x\nCache-Control: no-transform\n\n", 304, "Cache-Control: no-transform|X-Request-Id: ID", "", -1, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var ended endings
			target := record(t, "HTTP/1.1 "+strings.ReplaceAll(c.answer, "\n", "\r\n"))
			target.closes.Store(c.name == "until the end")
			s := &exchangetest.Stream{Head: c.head}
			changedPlane(t, &ended, c.change, target.url).Serve(s)
			content := s.Content
			if c.coded {
				content = unzipped(t, content)
			}
			if s.Status != c.status || string(content) != c.content || !s.Completed && c.content != "" || !s.Finished || s.WasCut || ended.code != "" {
				t.Fatalf("got %d with %q, completed: %v, finished: %v, cut: %v, code %q", s.Status, content, s.Completed, s.Finished, s.WasCut, ended.code)
			}
			if id := s.Field("X-Request-Id"); !requestID.MatchString(id) {
				t.Errorf("the request's id is %q", id)
			}
			if got := lines(s); got != c.want || s.Length != c.length {
				t.Errorf("got %d bytes,\n%s\nwant %d bytes,\n%s", s.Length, got, c.length, c.want)
			}
			if got := strings.Join(fieldsOf(s.Trailer), "|"); got != c.trailer || s.Last {
				t.Errorf("got the trailer %q, want %q; last: %v", got, c.trailer, s.Last)
			}
			if ended.out != int64(len(c.content)) {
				t.Errorf("%d bytes are counted, want %d", ended.out, len(c.content))
			}
		})
	}
}

var requestID = regexp.MustCompile("^[0-9a-f]{32}$")

func fieldsOf(h message.Header) (list []string) {
	for _, f := range h {
		list = append(list, string(f.Name)+": "+string(f.Value))
	}
	return list
}

func unzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestInterims: interim responses are passed on, without what isn't a target's to
// say.
func TestInterims(t *testing.T) {
	t.Parallel()
	target := record(t, "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\nConnection: x\r\nX-Request-Id: a\r\nX-Gateway-Error: b\r\n\r\nHTTP/1.1 102 x\r\n\r\n"+okay)
	s := &interims{}
	s.Head = get()
	var ended endings
	newPlane(t, &ended, target.url).Serve(s)
	if want := []string{"103 Link: a", "102"}; s.Status != 200 || !slices.Equal(s.got, want) {
		t.Errorf("got %d after %q, want 200 after %q: %s", s.Status, s.got, want, ended.cause)
	}
}

// interims is a stream that keeps interim responses.
type interims struct {
	exchangetest.Stream
	got []string
}

func (s *interims) Interim(r *message.Response) error {
	line := fmt.Sprint(r.Status)
	for _, f := range r.Header {
		if !f.Dropped && !r.Without.Has(f.ID) {
			line += " " + string(f.Name) + ": " + string(f.Value)
		}
	}
	s.got = append(s.got, line)
	return nil
}
