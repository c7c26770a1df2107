package test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCompressionTable asks, on one connection that lives on, for every kind of
// content in every way. Each answer must be whole and what it says it is, a HEAD
// has the fields and no body, and nothing of an answer is left in the next one's:
// after each comes a plain one.
func TestCompressionTable(t *testing.T) {
	t.Parallel()
	const least = 1000
	exact, below := strings.Repeat("x", least), strings.Repeat("x", least-1)
	plain := "Content-Type: text/plain"
	m := startMock(t, "flow", func(r *request) reply {
		lines, body := []string{plain}, compressible
		switch r.target {
		case "/exact":
			body = exact
		case "/below":
			body = below
		case "/image":
			lines[0] = "Content-Type: image/png"
		case "/chunked":
			lines, body = append(lines, chunked), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		if r.target != "/chunked" {
			lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
		}
		if r.method == "HEAD" {
			body = ""
		}
		return reply{parts: []string{answer("200 OK", body, lines...)}}
	})
	dir := t.TempDir()
	script := `local function route(path, f) chi_route("GET", path, f) chi_route("HEAD", path, f) end
	local text = ("compressible "):rep(100)
	route("/script", function(_, response) response:header("Content-Type", "text/plain") response:write(text) end)
	route("/script/flush", function(_, response)
		response:header("Content-Type", "text/plain") response:write(text:sub(1, 600)) response:flush() response:write(text:sub(601))
	end)
	route("/script/image", function(_, response) response:header("Content-Type", "image/png") response:write(text) end)
	route("/script/exact", function(_, response) response:header("Content-Type", "text/plain") response:write(("x"):rep(1000)) end)
	route("/script/below", function(_, response) response:header("Content-Type", "text/plain") response:write(("x"):rep(999)) end)`
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, fmt.Sprintf(`compression: {enabled: true, content_types: [text/plain], min_size: %d}
lua_routing: {enabled: true, scripts_dir: %q}
tenants:
  - {name: a, path_prefix: /, lua_routes: [a.lua], lua: {%s}, services: [{url: "http://%s"}]}
`, least, dir, patientLua, m.address))
	client := dial(t, g.address)
	ask := func(method, path, accept, body string, coded, varies bool) {
		t.Helper()
		lines := []string{"Host: a"}
		if accept != "" {
			lines = append(lines, "Accept-Encoding: "+accept)
		}
		client.send(t, lined(method+" "+path+" HTTP/1.1", lines...))
		got := client.answer(t, method)
		what := fmt.Sprintf("%s %s with %q", method, path, accept)
		if isCoded := slices.Equal(got.values("Content-Encoding"), []string{"gzip"}); isCoded != coded {
			t.Errorf("%s: Content-Encoding %q", what, got.values("Content-Encoding"))
		}
		if vary := strings.Join(got.values("Vary"), "|"); vary != map[bool]string{true: "Accept-Encoding"}[varies] {
			t.Errorf("%s: Vary %q", what, vary)
		}
		if coded && got.values("Content-Length") != nil {
			t.Errorf("%s: Content-Length %q", what, got.values("Content-Length"))
		}
		if method == "HEAD" {
			return
		}
		if text := got.body; !bytes.Equal(unzipped(t, text, coded), []byte(body)) {
			t.Errorf("%s: %d bytes that aren't what was sent", what, len(text))
		}
	}
	for accept, accepted := range map[string]bool{
		"gzip": true, "GZip": true, "deflate, gzip": true, "gzip;q=1": true, "gzip; q=0.001": true, "gzip ;q=0.5, deflate": true, "deflate;q=0, gzip": true,
		"": false, "deflate": false, "identity": false, "gzip;q=0": false, "gzip;q=0.0": false, "gzip;q=0.000": false, "gzip; q=0.": false,
		"gzip ; Q=0.0, deflate": false, "xgzip": false, "gzip2": false,
	} {
		for _, path := range []string{"/text", "/chunked", "/script"} {
			for _, method := range []string{"GET", "HEAD"} {
				ask(method, path, accept, compressible, accepted, true)
				ask(method, "/image", accept, compressible, false, false)
			}
		}
	}
	for _, path := range []string{"", "/script"} {
		for _, method := range []string{"GET", "HEAD"} {
			ask(method, path+"/exact", "gzip", exact, true, true)
			ask(method, path+"/below", "gzip", below, false, true)
			ask(method, path+"/image", "gzip", compressible, false, false)
			ask(method, "/script/flush", "gzip", compressible, false, false)
		}
	}
}

// unzipped returns what a body means.
func unzipped(t *testing.T, body []byte, coded bool) []byte {
	t.Helper()
	if !coded {
		return body
	}
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestCompressedStream: what a target has sent of a compressed answer reaches the
// client before the target sends more, and an answer that is cut stays cut.
func TestCompressedStream(t *testing.T) {
	t.Parallel()
	step := make(chan struct{})
	const event = "data: something that happens\n\n"
	one := fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
	f := startFlow(t, compressing, func(r *request) reply {
		head := answer("200 OK", "", "Content-Type: text/plain", chunked)
		if r.target == "/cut" {
			return reply{parts: []string{head + one}, end: fin}
		}
		return reply{parts: []string{head + one, one, one + "0\r\n\r\n"}, step: step}
	})
	t.Cleanup(func() { close(step) })
	client := dial(t, f.gateway.address)
	client.send(t, f.expand(get("/events", "Accept-Encoding: gzip")))
	head, err := readHead(client.reader)
	if err != nil || !slices.Equal(head.values("Content-Encoding"), []string{"gzip"}) {
		t.Fatalf("%+v, %v", head, err)
	}
	unzip, err := gzip.NewReader(httputil.NewChunkedReader(client.reader))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		expectBytes(t, unzip, event)
		if i < 2 {
			step <- struct{}{}
		}
	}
	if rest, err := io.ReadAll(unzip); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v at the end", rest, err)
	}
	cut := dial(t, f.gateway.address)
	cut.send(t, f.expand(get("/cut", "Accept-Encoding: gzip")))
	if answer, err := readResponse(cut.reader, "GET"); err == nil {
		t.Errorf("a cut answer looks whole: %q", answer.body)
	}
}
