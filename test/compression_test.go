package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const compressing = "compression: {enabled: true, content_types: [text/plain]}\n"

var compressible = strings.Repeat("compressible ", 100)

// TestRepresentationFields: with compression, HEAD and 304 have the fields that
// GET's 200 has, and none of them is false.
func TestRepresentationFields(t *testing.T) {
	t.Parallel()
	fields := map[string][]string{}
	f := startFlow(t, compressing, func(r *request) reply {
		lines := fields[r.target]
		switch {
		case r.method == "HEAD":
			return reply{parts: []string{answer("200 OK", "", lines...)}}
		case r.values("If-None-Match") != nil:
			kept := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasPrefix(line, "Content-") })
			if strings.HasSuffix(r.target, "-typed") {
				kept = lines
			}
			return reply{parts: []string{answer("304 Not Modified", "", kept...)}}
		case strings.Contains(strings.Join(lines, " "), chunked):
			return reply{parts: []string{answer("200 OK", fmt.Sprintf("%x\r\n%s\r\n0\r\nContent-Digest: x\r\nX-T: y\r\n\r\n", len(compressible), compressible), lines...)}}
		}
		return reply{parts: []string{answer("200 OK", compressible[:contentLength(lines)], lines...)}}
	})
	plain, length := "Content-Type: text/plain", fmt.Sprintf("Content-Length: %d", len(compressible))
	type want struct {
		coded            bool
		etag, vary       string
		digests, ofParts bool
	}
	coded := want{true, `W/"1"`, "Accept-Encoding", false, false}
	for name, c := range map[string]struct {
		lines  []string
		accept string
		want   want
	}{
		"plain":                 {[]string{plain, length, `ETag: "1"`}, "gzip", coded},
		"typed":                 {[]string{plain, length, `ETag: "1"`}, "gzip", coded},
		"chunked":               {[]string{plain, chunked, `ETag: "1"`, "Trailer: Content-Digest, X-T"}, "deflate, gzip;q=0.5", coded},
		"weak already":          {[]string{plain, length, `ETag: W/"1"`}, "gzip", coded},
		"digests":               {[]string{plain, length, `ETag: "1"`, "Content-Digest: sha-256=:x:", "Repr-Digest: sha-256=:x:", "Content-MD5: x", "digest: x", "Accept-Ranges: bytes"}, "gzip", coded},
		"Vary: Accept-Encoding": {[]string{plain, length, `ETag: "1"`, "Vary: accept-encoding"}, "gzip", want{true, `W/"1"`, "accept-encoding", false, false}},
		"Vary: Origin":          {[]string{plain, length, `ETag: "1"`, "Vary: Origin"}, "gzip", want{true, `W/"1"`, "Origin, Accept-Encoding", false, false}},
		"two Varys":             {[]string{plain, length, `ETag: "1"`, "Vary: Origin", "Vary: Accept-Encoding, Cookie"}, "gzip", want{true, `W/"1"`, "Origin, Accept-Encoding, Cookie", false, false}},
		"Vary: *":               {[]string{plain, length, `ETag: "1"`, "Vary: *"}, "gzip", want{true, `W/"1"`, "*", false, false}},
		"not accepted": {[]string{plain, length, `ETag: "1"`, "Content-Digest: x", "Content-MD5: x", "Repr-Digest: x", "Accept-Ranges: bytes", "Vary: Origin"}, "deflate, gzip;q=0",
			want{false, `"1"`, "Origin, Accept-Encoding", true, true}},
		"too small":             {[]string{plain, "Content-Length: 100", `ETag: "1"`, "Content-MD5: x"}, "gzip", want{false, `"1"`, "Accept-Encoding", true, false}},
		"another type-typed":    {[]string{"Content-Type: image/png", length, `ETag: "1"`, "Content-MD5: x"}, "gzip", want{false, `"1"`, "", true, false}},
		"no-transform":          {[]string{plain, length, `ETag: "1"`, "Cache-Control: no-transform", "Vary: Origin"}, "gzip", want{false, `"1"`, "Origin", false, false}},
		"coded by target-typed": {[]string{plain, length, `ETag: "1"`, "Content-Encoding: br", "Repr-Digest: x"}, "deflate, gzip", want{false, `"1"`, "", true, false}},
	} {
		path := "/" + strings.NewReplacer(" ", "-", ":", "", "*", "star").Replace(name)
		fields[path] = c.lines
		t.Run(name, func(t *testing.T) {
			client := dial(t, f.gateway.address)
			for _, request := range []string{
				lined("GET "+path+" HTTP/1.1", "Host: {host}", "Accept-Encoding: "+c.accept),
				lined("HEAD "+path+" HTTP/1.1", "Host: {host}", "Accept-Encoding: "+c.accept),
				lined("GET "+path+" HTTP/1.1", "Host: {host}", "Accept-Encoding: "+c.accept, "If-None-Match: "+c.want.etag),
			} {
				client.send(t, f.expand(request))
				method, _, _ := strings.Cut(request, " ")
				got := client.answer(t, method)
				encoding := strings.Join(got.values("Content-Encoding"), ",")
				if got.status == 304 {
					encoding = map[bool]string{true: "gzip"}[c.want.coded] // needn't be there (RFC 9110 §15.4.5)
				}
				if (encoding == "gzip") != c.want.coded {
					t.Errorf("%s %d: Content-Encoding %q", method, got.status, encoding)
				}
				if etag := got.values("ETag"); len(etag) != 1 || etag[0] != c.want.etag {
					t.Errorf("%s %d: ETag %q, want %q", method, got.status, etag, c.want.etag)
				}
				if vary := got.values("Vary"); strings.Join(vary, "|") != c.want.vary {
					t.Errorf("%s %d: Vary %q, want one of %q", method, got.status, vary, c.want.vary)
				}
				digests, lengths := 0, len(got.values("Content-Length"))
				for _, field := range []string{"Content-Digest", "Repr-Digest", "Content-MD5", "Digest"} {
					digests += len(got.values(field)) + len(valuesOf(got.trailers, field))
				}
				if c.want.coded && digests+lengths+len(got.values("Accept-Ranges")) > 0 {
					t.Errorf("%s %d: fields of the bytes before compression in %q", method, got.status, got.fields)
				}
				if !c.want.coded && got.status == 200 && (digests > 0) != c.want.digests || c.want.ofParts && !got.has("Accept-Ranges") {
					t.Errorf("%s %d: true fields are missing in %q", method, got.status, got.fields)
				}
				for _, names := range got.values("Trailer") {
					if names != "X-T" {
						t.Errorf("%s %d: Trailer %q, want what comes", method, got.status, names)
					}
				}
				if got.framing == "chunked" && c.lines[1] == chunked && !slices.Equal(valuesOf(got.trailers, "X-T"), []string{"y"}) {
					t.Errorf("trailers %q", got.trailers)
				}
			}
		})
	}
}

// contentLength reads the length from header lines.
func contentLength(lines []string) (n int) {
	for _, line := range lines {
		_, _ = fmt.Sscanf(line, "Content-Length: %d", &n)
	}
	return n
}

// TestRevalidation: a client gets back the tag that it has, and parts are of
// the representation that it has asked for.
func TestRevalidation(t *testing.T) {
	t.Parallel()
	f := startFlow(t, compressing, func(r *request) reply {
		matches := strings.Contains(strings.Join(r.values("If-None-Match"), ","), `"1"`)
		part := r.values("Range") != nil && (r.values("If-Range") == nil || r.values("If-Range")[0] == `"1"`) // a strong comparison
		switch {
		case matches:
			return reply{parts: []string{answer("304 Not Modified", "", `ETag: "1"`)}}
		case part:
			return reply{parts: []string{answer("206 Partial Content", compressible[:300], "Content-Type: text/plain", "Content-Length: 300",
				fmt.Sprintf("Content-Range: bytes 0-299/%d", len(compressible)), `ETag: "1"`)}}
		}
		return reply{parts: []string{answer("200 OK", compressible, "Content-Type: text/plain", fmt.Sprintf("Content-Length: %d", len(compressible)), `ETag: "1"`)}}
	})
	for _, c := range []struct {
		name, accept string
		lines        []string
		status       int
		etag, coding string
	}{
		{"the weak tag", "gzip", []string{`If-None-Match: W/"1"`}, 304, `W/"1"`, ""},
		{"the weak tag among others", "gzip", []string{`If-None-Match: "0", W/"1"`}, 304, `W/"1"`, ""},
		{"the strong tag, of an uncompressed one", "gzip", []string{`If-None-Match: "0", "1"`}, 304, `"1"`, ""},
		{"both tags", "gzip", []string{`If-None-Match: "1"`, `If-None-Match: W/"1"`}, 304, `W/"1"`, ""},
		{"the strong tag, gzip not accepted", "deflate", []string{`If-None-Match: "1"`}, 304, `"1"`, ""},
		{"another tag", "gzip", []string{`If-None-Match: W/"0"`}, 200, `W/"1"`, "gzip"},
		{"a part", "gzip", []string{"Range: bytes=0-299"}, 206, `"1"`, ""},
		{"a part, if the strong tag matches", "gzip", []string{"Range: bytes=0-299", `If-Range: "1"`}, 206, `"1"`, ""},
		{"no part of a compressed one", "gzip", []string{"Range: bytes=0-299", `If-Range: W/"1"`}, 200, `W/"1"`, "gzip"},
		{"no part of a compressed one, gzip not accepted", "deflate", []string{"Range: bytes=0-299", `If-Range: W/"1"`}, 200, `"1"`, ""},
	} {
		client := dial(t, f.gateway.address)
		client.send(t, f.expand(get("/p", append(c.lines, "Accept-Encoding: "+c.accept)...)))
		got := client.answer(t, "GET")
		if etag, coding := strings.Join(got.values("ETag"), "|"), strings.Join(got.values("Content-Encoding"), "|"); got.status != c.status || etag != c.etag || coding != c.coding {
			t.Errorf("%s: %d, ETag %q, coding %q", c.name, got.status, etag, coding)
		}
		if vary := got.values("Vary"); !slices.Equal(vary, []string{"Accept-Encoding"}) {
			t.Errorf("%s: %d with Vary %q", c.name, got.status, vary)
		}
		seen := f.mock.seen()
		if wrong := line(c.lines...)(seen[len(seen)-1]); wrong != "" {
			t.Errorf("%s: %s", c.name, wrong)
		}
	}
}

// TestScriptedRepresentation: the same holds for what scripts answer; and a
// script's 426 has its Upgrade.
func TestScriptedRepresentation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `
	local function answer(request, response)
		response:header("Content-Type", "text/plain")
		response:header("ETag", '"1"')
		response:header("Vary", "Origin")
		response:header("Content-Digest", "x")
		if request:header("If-None-Match") then response:status(304) return end
		response:write(("compressible "):rep(100))
	end
	chi_route("GET", "/text", answer)
	chi_route("HEAD", "/text", answer)
	chi_route("GET", "/upgrade", function(request, response)
		response:status(426) response:header("Upgrade", "HTTP/3.0") response:write("no")
	end)`
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, compressing+fmt.Sprintf("lua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n  - {name: a, path_prefix: /, lua_routes: [a.lua]}\n", dir))
	client := dial(t, g.address)
	for _, request := range []string{
		lined("GET /text HTTP/1.1", "Host: a", "Accept-Encoding: gzip"),
		lined("HEAD /text HTTP/1.1", "Host: a", "Accept-Encoding: gzip"),
		lined("GET /text HTTP/1.1", "Host: a", "Accept-Encoding: gzip", `If-None-Match: W/"1"`),
	} {
		client.send(t, request)
		method, _, _ := strings.Cut(request, " ")
		got := client.answer(t, method)
		encoding := strings.Join(got.values("Content-Encoding"), "|")
		if strings.Join(got.values("ETag"), "|") != `W/"1"` || strings.Join(got.values("Vary"), "|") != "Origin, Accept-Encoding" ||
			(encoding == "gzip") != (got.status == 200) || got.values("Content-Digest") != nil || got.values("Content-Length") != nil {
			t.Errorf("%s: %q with %q", method, got.start, got.fields)
		}
	}
	client.send(t, lined("GET /upgrade HTTP/1.1", "Host: a"))
	if got := client.answer(t, "GET"); got.status != 426 || !got.hasLine("Upgrade: HTTP/3.0") || !got.hasLine("Connection: Upgrade") {
		t.Errorf("%q with %q", got.start, got.fields)
	}
}
