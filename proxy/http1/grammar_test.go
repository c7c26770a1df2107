package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

const (
	digitBytes = "0123456789"
	hexBytes   = digitBytes + "abcdefABCDEF"
	tokenBytes = digitBytes + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~"
)

// textBytes are what a field value may have, targetBytes what a target may.
var textBytes, targetBytes = func() (text, target string) {
	for c := range 256 {
		if c >= 0x20 && c != 0x7f || c == '\t' {
			text += string([]byte{byte(c)})
		}
		if c > 0x20 && c < 0x7f && c != '#' {
			target += string([]byte{byte(c)})
		}
	}
	return text, target
}()

func parseResponse(text string) error {
	head, _, err := readHead(strings.NewReader(text), headLimit)
	if err != nil {
		return err
	}
	return new(http1.Response).Parse(head, false)
}

func parses(text string) error { _, err := parseRequest(text); return err }

// chunks reads a chunked body.
func chunks(text string) error {
	if _, _, err := readBody(strings.NewReader(text), http1.Chunked, 0); err != io.EOF {
		return err
	}
	return nil
}

// TestEveryByte puts each byte in each place of a message: just those pass that
// the grammar of RFC 9112 has there, and what is wrong with the others is said
// alike whatever else may follow.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	const host = "Host: h\r\n"
	for name, place := range map[string]struct {
		before, after string
		allowed       string
		read          func(string) error
		want          []error
	}{
		"method":           {"A", "B / HTTP/1.1\r\n" + host + "\r\n", tokenBytes, parses, []error{message.BadRequestLine, message.BadLineEnd, message.BadTarget, message.BadVersion}},
		"method's start":   {"", "B / HTTP/1.1\r\n" + host + "\r\n", tokenBytes, parses, []error{message.BadRequestLine, message.BadLineEnd}},
		"target":           {"GET /a", "b HTTP/1.1\r\n" + host + "\r\n", targetBytes, parses, []error{message.BadTarget, message.BadVersion, message.BadLineEnd}},
		"field name":       {"GET / HTTP/1.1\r\n" + host + "X", "y: z\r\n\r\n", tokenBytes + ":", parses, []error{message.BadFieldName, message.BadLineEnd}},
		"field's start":    {"GET / HTTP/1.1\r\n" + host, "y: z\r\n\r\n", tokenBytes, parses, []error{message.BadFieldName, message.ObsoleteFold, message.BadLineEnd}},
		"field value":      {"GET / HTTP/1.1\r\n" + host + "X: a", "b\r\n\r\n", textBytes, parses, []error{message.BadFieldValue, message.BadLineEnd}},
		"before the colon": {"GET / HTTP/1.1\r\n" + host + "X", ": z\r\n\r\n", tokenBytes + ":", parses, []error{message.BadFieldName, message.BadLineEnd}},
		"length":           {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1", "1\r\n\r\n", digitBytes, parses, []error{message.BadContentLength, message.BadFieldValue, message.BadLineEnd}},
		"status":           {"HTTP/1.1 2", "0 OK\r\n\r\n", digitBytes, parseResponse, []error{message.BadStatusLine, message.BadLineEnd}},
		"after the status": {"HTTP/1.1 200", "OK\r\n\r\n", " ", parseResponse, []error{message.BadStatusLine, message.BadLineEnd}},
		"before it":        {"HTTP/1.1", "200 OK\r\n\r\n", " ", parseResponse, []error{message.BadStatusLine, message.BadLineEnd}},
		"reason":           {"HTTP/1.1 200 O", "K\r\n\r\n", textBytes, parseResponse, []error{message.BadStatusLine, message.BadLineEnd}},
		"trailer":          {"0\r\nX: a", "b\r\n\r\n", textBytes, chunks, []error{message.BadTrailer, message.BadChunk}},
		"trailer's start":  {"0\r\n", "X: a\r\n\r\n", tokenBytes, chunks, []error{message.BadTrailer, message.BadChunk}},
		"chunk's quote":    {"2;a=\"b", "c\"\r\nab\r\n0\r\n\r\n", strings.ReplaceAll(textBytes, "\"", ""), chunks, []error{message.BadChunk}},
		"quoted pair":      {"2;a=\"b\\", "\"\r\nab\r\n0\r\n\r\n", textBytes, chunks, []error{message.BadChunk}},
		"chunk's token":    {"2;a=b", "c\r\nab\r\n0\r\n\r\n", tokenBytes + ";", chunks, []error{message.BadChunk}},
	} {
		for c := range 256 {
			err := place.read(place.before + string([]byte{byte(c)}) + place.after)
			if allowed := strings.IndexByte(place.allowed, byte(c)) >= 0; allowed != (err == nil) {
				t.Errorf("%s: byte %#x: %v; allowed is to be %v", name, c, err, allowed)
			}
			known := err == nil
			for _, want := range place.want {
				known = known || errors.Is(err, want)
			}
			if !known {
				t.Errorf("%s: byte %#x: %v, want one of %v", name, c, err, place.want)
			}
		}
	}
}

// TestChunkSizes: a size is hexadecimal, of either case, with up to 15 digits.
func TestChunkSizes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		text := string([]byte{byte(c)})
		size := strings.Index(hexBytes, text)
		if size > 15 {
			size -= 6
		}
		err := chunks("1" + text + "\r\n" + strings.Repeat("x", 16+max(size, 0)) + "\r\n0\r\n\r\n")
		if (err == nil) != (size >= 0) {
			t.Errorf("1%q: %v, want %d bytes", text, err, 16+size)
		}
	}
	for line, want := range map[string]error{
		"000000000000002": nil, "0000000000000002": message.BadChunk, "2;" + strings.Repeat("a", 254): nil, "2;" + strings.Repeat("a", 255): message.BadChunk,
	} {
		if err := chunks(line + "\r\nab\r\n0\r\n\r\n"); !errors.Is(err, want) {
			t.Errorf("size line of %d bytes: %v, want %v", len(line), err, want)
		}
	}
	if got := string(http1.AppendChunkSize([]byte("x"), 0xabc)); got != "xabc\r\n" {
		t.Errorf("a size as text: %q", got)
	}
}

// TestLimitsOfHeads: what is just allowed, and one more.
func TestLimitsOfHeads(t *testing.T) {
	t.Parallel()
	const line, host = "GET / HTTP/1.1\r\n", "Host: h\r\n"
	options := func(n int) string { return "Connection: " + strings.TrimSuffix(strings.Repeat("a,", n), ",") + "\r\n" }
	for name, c := range map[string]struct {
		just, more string
		want       error
	}{
		"method":             {strings.Repeat("A", 64) + " / HTTP/1.1\r\n" + host, strings.Repeat("A", 65) + " / HTTP/1.1\r\n" + host, message.BadRequestLine},
		"target":             {"GET /" + strings.Repeat("a", 8<<10-1) + " HTTP/1.1\r\n" + host, "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\n" + host, message.TargetTooLong},
		"fields":             {line + host + strings.Repeat("a: b\r\n", 255), line + host + strings.Repeat("a: b\r\n", 256), message.HeaderTooLarge},
		"connection options": {line + host + options(32), line + host + options(33), message.BadConnection},
		"options in two":     {line + host + options(16) + options(16), line + host + options(16) + options(17), message.BadConnection},
		"digits of a length": {line + host + "Content-Length: " + strings.Repeat("0", 17) + "1\r\n", line + host + "Content-Length: " + strings.Repeat("0", 18) + "1\r\n", message.BadContentLength},
		"hosts":              {line + host, line + host + host, message.BadHost},
		"no host":            {"GET / HTTP/1.0\r\n", line, message.BadHost},
		"codings":            {line + host + "Transfer-Encoding: chunked\r\n", line + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", message.BadTransferEncoding},
	} {
		if err := parses(c.just + "\r\n"); err != nil {
			t.Errorf("%s: just allowed: %v", name, err)
		}
		if err := parses(c.more + "\r\n"); !errors.Is(err, c.want) {
			t.Errorf("%s: one more: %v, want %v", name, err, c.want)
		}
	}
	trailer := func(n int) string { return "0\r\n" + strings.Repeat("X: y\r\n", n) + "\r\n" }
	if err := chunks(trailer(256)); err != nil {
		t.Errorf("256 trailer fields: %v", err)
	}
	if err := chunks(trailer(257)); !errors.Is(err, message.BadTrailer) {
		t.Errorf("257 trailer fields: %v", err)
	}
}

// TestTargets: the forms of a target, and what has none.
func TestTargets(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"GET /a?b HTTP/1.1":          "origin h /a?b",
		"GET //a HTTP/1.1":           "origin h //a",
		"GET /* HTTP/1.1":            "origin h /*",
		"OPTIONS * HTTP/1.1":         "asterisk h *",
		"OPTIONS http://h HTTP/1.1":  "asterisk h *",
		"OPTIONS http://h/ HTTP/1.1": "absolute h /",
		"OPTIONS http://h? HTTP/1.1": "absolute h /?",
		"OPTIONS http://g HTTP/1.1":  "another host",
		"CONNECT h:443 HTTP/1.1":     "authority h ",
		"GET http://h HTTP/1.1":      "absolute h /",
		"GET http://h/?q HTTP/1.1":   "absolute h /?q",
		"GET http://h?q HTTP/1.1":    "absolute h /?q",
		"GET HTTPS://h HTTP/1.1":     "absolute h /",
		"GET https://h:443 HTTP/1.1": "absolute h:443 /",
		"GET http://h:80 HTTP/1.1":   "absolute h:80 /",
		"GET ? HTTP/1.1":             "refused",
		"OPTIONS ** HTTP/1.1":        "refused",
		"OPTIONS *a HTTP/1.1":        "refused",
		"OPTIONS a HTTP/1.1":         "refused",
		"GET http:// HTTP/1.1":       "refused",
		"GET http:/// HTTP/1.1":      "refused",
		"GET http:///h HTTP/1.1":     "refused",
		"GET https:// HTTP/1.1":      "refused",
		"GET http://?q HTTP/1.1":     "refused",
		"GET http://@h HTTP/1.1":     "refused",
		"GET http://u@h HTTP/1.1":    "refused",
		"GET ftp://h HTTP/1.1":       "refused",
		"GET http:/h HTTP/1.1":       "refused",
		"GET https:/h HTTP/1.1":      "refused",
	} {
		r, err := parseRequest(line + "\r\nHost: h\r\n\r\n")
		got := "refused"
		if err == nil {
			form := [...]string{message.OriginForm: "origin", message.AbsoluteForm: "absolute", message.AuthorityForm: "authority", message.AsteriskForm: "asterisk"}[r.Form]
			got = fmt.Sprintf("%s %s %s", form, r.Authority, r.Resource)
		} else if errors.Is(err, message.BadHost) {
			got = "another host"
		} else if !errors.Is(err, message.BadTarget) {
			t.Errorf("%s: %v, want a bad target", line, err)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// TestPorts: an authority's port is 0 to 65535 or none, and the other of two
// authorities has the same one.
func TestPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target, host string
		agree        bool
	}{
		{"http://h:65535/", "h:065535", true}, {"http://h:65536/", "h:065536", false}, {"http://h:a/", "h:b", false}, {"http://h:x80/", "h", false},
		{"http://h:0/", "h:00", true}, {"http://h:/", "h", true}, {"http://h:/", "H:80", true}, {"http://[::1]:81/", "[0::1]:081", true},
		{"http://[::1]:81/", "[0::1]", false}, {"http://[::x]/", "[::y]", false}, {"http://[::1]/", "[::x]", false}, {"http://[::x]/", "[::1]", false},
		{"http://[::1]/", "h", false}, {"http://h/", "[::1]", false}, {"http://[x]/", "[x.]", false}, {"http://h./", "h", true}, {"http://H/", "h", true},
		{"http://:80/", ":080", false}, {"http://h:-1/", "h:-01", false},
	} {
		err := parses("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n")
		if (err == nil) != c.agree {
			t.Errorf("%s with Host %s: %v, agree is to be %v", c.target, c.host, err, c.agree)
		}
	}
}

// TestMeaning reads what a head says of the connection and of the body.
func TestMeaning(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		"":                                          "no body",
		"Connection: close":                         "no body close",
		"Connection: keep-alive":                    "no body keep-alive",
		"Connection: Upgrade, TE":                   "no body upgrade",
		"Connection: a\r\nA: b\r\nB: c":             "no body dropped A",
		"Content-Length: 0":                         "no body",
		"Content-Length: 1":                         "1 bytes",
		"Transfer-Encoding: chunked":                "chunked",
		"TE: trailers":                              "no body trailers",
		"TE: deflate, Trailers":                     "no body trailers",
		"TE: deflate\r\nTE: trailers":               "no body trailers",
		"TE: trailer":                               "no body",
		"TE: x\r\nOther: trailers":                  "no body",
		"Expect: 100-continue":                      "no body",
		"Expect: ":                                  "no body",
		"Content-Length: 1\r\nExpect: 100-continue": "1 bytes continue",
		"Transfer-Encoding: chunked\r\nExpect: 100-continue": "chunked continue",
	} {
		for minor, version := range []string{"1.0", "1.1"} {
			head := "POST / HTTP/" + version + "\r\nHost: h\r\n"
			if fields != "" {
				head += fields + "\r\n"
			}
			r, err := parseRequest(head + "\r\n")
			if strings.Contains(fields, "chunked") && minor == 0 {
				if !errors.Is(err, message.BadTransferEncoding) {
					t.Errorf("%q in 1.0: %v", fields, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q: %v", fields, err)
				continue
			}
			wanted := want
			if minor == 0 {
				for _, newer := range []string{" upgrade", " trailers", " continue"} {
					wanted = strings.TrimSuffix(wanted, newer)
				}
			}
			if got := meaning(r); got != wanted || r.Version != version || r.Unsized != (minor == 1) {
				t.Errorf("%q in %s: got %q, want %q; version %s, unsized %v", fields, version, got, wanted, r.Version, r.Unsized)
			}
		}
	}
}

func meaning(r *http1.Request) string {
	words := []string{[...]string{http1.NoBody: "no body", http1.Length: fmt.Sprintf("%d bytes", r.Length), http1.Chunked: "chunked"}[r.Framing]}
	if r.Framing == http1.Chunked && r.Length != message.Unsized {
		words = append(words, "with a length")
	}
	for word, is := range map[string]bool{"close": r.Close, "keep-alive": r.KeepAlive, "upgrade": r.UpgradeAsked, "trailers": r.Trailers, "continue": r.Continue} {
		if is {
			words = append(words, word)
		}
	}
	for _, f := range r.Header {
		if f.Dropped && f.ID == message.Unknown {
			words = append(words, "dropped "+string(f.Name))
		}
	}
	return strings.Join(words, " ")
}

// TestLastChunk: what a receiver would take for framing, routing or trust isn't
// sent in a trailer.
func TestLastChunk(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Sum: 1", "Authorization: x", "cookie: x", "Set-Cookie: x", "X-REAL-IP: x", "Content-Length: 5", "Host: h",
		"Transfer-Encoding: chunked", "X-Forwarded-For: x", "Proxy-Authorization: x", "Y-Sum: 2",
	}
	_, b, err := readBody(strings.NewReader("0\r\n"+strings.Join(fields, "\r\n")+"\r\n\r\n"), http1.Chunked, 0)
	if err != io.EOF || len(b.Trailer()) != len(fields) {
		t.Fatalf("%v, %d fields", err, len(b.Trailer()))
	}
	if got := string(http1.AppendLastChunk(nil, b.Trailer())); got != "0\r\nX-Sum: 1\r\nY-Sum: 2\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	b.Trailer()[0].Dropped = true
	if got := string(http1.AppendLastChunk([]byte("x"), b.Trailer())); got != "x0\r\nY-Sum: 2\r\n\r\n" {
		t.Errorf("one dropped: got %q", got)
	}
}

// TestResponsesInPieces reads responses of each framing, twice with the same
// values: nothing of the first is in the second.
func TestResponsesInPieces(t *testing.T) {
	t.Parallel()
	var r http1.Response
	for _, c := range []struct {
		text, reason   string
		status, fields int
		framing        http1.Framing
		length         int64
		bodiless       bool
	}{
		{"HTTP/1.1 200 All right\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", "All right", 200, 3, http1.Length, 5, false},
		{"HTTP/1.0 204\r\n\r\n", "", 204, 0, http1.NoBody, message.Unsized, true},
		{"HTTP/1.1 100 \r\nContent-Length: 0\r\n\r\n", "", 100, 1, http1.NoBody, 0, true},
		{"HTTP/1.1 199 x\r\n\r\n", "x", 199, 0, http1.NoBody, message.Unsized, true},
		{"HTTP/1.1 200 x\r\n\r\n", "x", 200, 0, http1.UntilClose, message.Unsized, false},
		{"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", "x", 200, 1, http1.NoBody, 0, false},
		{"HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n", "x", 304, 1, http1.NoBody, 7, true},
		{"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", "x", 200, 1, http1.Chunked, message.Unsized, false},
	} {
		head, rest, err := readHead(strings.NewReader(c.text+"body"), headLimit)
		if err == nil {
			err = r.Parse(head, false)
		}
		if err != nil || string(rest) != "body" {
			t.Errorf("%q: %v, rest %q", c.text, err, rest)
			continue
		}
		if r.Status != c.status || string(r.Reason) != c.reason || len(r.Header) != c.fields || r.Framing != c.framing || r.Length != c.length || r.Bodiless != c.bodiless {
			t.Errorf("%q: status %d, reason %q, %d fields, framing %d, length %d, bodiless %v", c.text, r.Status, r.Reason, len(r.Header), r.Framing, r.Length, r.Bodiless)
		}
		if want := bytes.Contains([]byte(c.text), []byte("close")); r.Close != want {
			t.Errorf("%q: close is %v", c.text, r.Close)
		}
	}
}
