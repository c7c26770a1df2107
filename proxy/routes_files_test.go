package proxy_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// changed is when the files of these tests were changed last.
var changed = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// site makes a workshop whose tenant shop serves files, and has each changed at that time.
func site(t *testing.T, routes string, more ...string) *workshop {
	t.Helper()
	w := newWorkshop(t, append([]string{
		"scripts/none.lua", "",
		"site/index.html", "<h1>home</h1>", "site/app.js", "the script", "site/app.js.br", "by brotli", "site/app.js.gz", "by gzip",
		"site/docs/index.html", "<h1>docs</h1>", "site/docs/a b.txt", "with a space", "site/empty/x.png", "picture", "site/empty/x.png.gz", "not looked for",
		"site/.env", "secret", "site/.git/config", "secret", "site/docs/.hidden", "secret", "site/.well-known/security.txt", "contact",
		"site/none.txt", "", "secret.txt", "outside", "site/big.bin", strings.Repeat("0123456789", 10_000),
		"c.yaml", tenantsOf("shop", "domains: [shop.example.com], lua: {timeout: 20s}, routes: ["+routes+"]")}, more...)...)
	for name, to := range map[string]string{
		"site/inside.txt": "docs/a b.txt", "site/outside.txt": "../secret.txt", "site/absolute.txt": filepath.Join(w.dir, "site/app.js"),
		"site/loop": "loop", "site/up": "..", "site/hop": "up/site/app.js", "current": "site", "site/data": ".data/v1", "site/data.txt": "data/x.txt",
	} {
		if err := os.Symlink(to, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.write("site/.data/v1/x.txt", "through a link")
	if err := syscall.Mkfifo(filepath.Join(w.dir, "site/pipe.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(filepath.Join(w.dir, "site"), func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		return os.Chtimes(path, changed, changed)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.strict = true
	return w
}

// TestFilesOfRoutes: which file a path names, and what isn't served.
func TestFilesOfRoutes(t *testing.T) {
	t.Parallel()
	w := site(t, "{path: '/old/*', files: {root: current}}, {path: '/prefix*', files: {root: site}}, {path: /app.js, files: {root: site}}, {path: '/spa/*', files: {root: site, fallback: index.html}}, {path: '/bare/*', files: {root: site, index: []}}, {files: {root: site, precompressed: []}}")
	w.run()
	for _, c := range [][3]string{
		{"GET /", "", "200 <h1>home</h1>"},
		{"HEAD /", "", "200"},
		{"GET /index.html", "", "200 <h1>home</h1>"},
		{"GET /app.js", "", "200 the script"},
		{"GET /app.js?v=1", "", "200 the script"},
		{"GET /app.js/", "", "404 file_not_found"},
		{"GET /app.js/x", "", "404 file_not_found"},
		{"GET /docs", "", "308 /docs/"},
		{"GET /docs?q=1", "", "308 /docs/?q=1"},
		{"GET /docs/", "", "200 <h1>docs</h1>"},
		{"GET //docs", "", "308 /docs/"},
		{"GET /%2Fdocs", "", "308 /%2Fdocs/"},
		{"GET /docs;x/", "", "200 <h1>docs</h1>"},
		{"GET /docs/a%20b.txt", "", "200 with a space"},
		{"GET /docs%2Fa%20b.txt", "", "200 with a space"},
		{"GET /docs%5Ca%20b.txt", "", "200 with a space"},
		{"GET /docs/a+b.txt", "", "404 file_not_found"},
		{"GET /docs/a%2520b.txt", "", "404 file_not_found"},
		{"GET /x/../app.js", "", "200 the script"},
		{"GET /empty", "", "404 file_not_found"},
		{"GET /empty/", "", "404 file_not_found"},
		{"GET /none.txt", "", "200"},
		{"GET /missing", "", "404 file_not_found"},
		{"GET /.env", "", "404 file_not_found"},
		{"GET /%2eenv", "", "404 file_not_found"},
		{"GET /.git/config", "", "404 file_not_found"},
		{"GET /docs/.hidden", "", "404 file_not_found"},
		{"GET /docs/.well-known/x", "", "404 file_not_found"},
		{"GET /.well-known/security.txt", "", "200 contact"},
		{"GET /inside.txt", "", "200 with a space"},
		{"GET /data.txt", "", "200 through a link"},
		{"GET /outside.txt", "", "404 file_not_found"},
		{"GET /absolute.txt", "", "404 file_not_found"},
		{"GET /up/secret.txt", "", "404 file_not_found"},
		{"GET /hop", "", "404 file_not_found"},
		{"GET /loop", "", "404 file_not_found"},
		{"GET /pipe.txt", "", "404 file_not_found"},
		{"GET /app.js%00", "", "400 bad_path"},
		{"GET /app.js%0A", "", "400 bad_path"},
		{"GET /%FF.js", "", "404 file_not_found"},
		{"GET /" + strings.Repeat("a", 300), "", "404 file_not_found"},
		{"GET /" + strings.Repeat("a/", 300), "", "404 file_not_found"},
		{"GET /..%2Fsecret.txt", "", "400 bad_path"},
		{"POST /app.js", "Content-Length: 1\r\n\r\nx", "405 method_not_allowed"},
		{"OPTIONS /app.js", "", "405 method_not_allowed"},
		{"GET /old/app.js", "", "200 the script"},
		{"GET /old/docs", "", "308 /old/docs/"},
		{"GET /old/", "", "200 <h1>home</h1>"},
		{"GET /spa/app.js", "", "200 the script"},
		{"GET /spa/users/7", "", "200 <h1>home</h1>"},
		{"GET /spa/.env", "", "200 <h1>home</h1>"},
		{"GET /spa/empty/", "", "200 <h1>home</h1>"},
		{"GET /prefix", "", "308 /prefix/"},
		{"GET /prefix/", "", "200 <h1>home</h1>"},
		{"GET /prefix/docs/", "", "200 <h1>docs</h1>"},
		{"GET /bare/", "", "404 file_not_found"},
		{"GET /bare/docs", "", "404 file_not_found"},
	} {
		w.tell("shop", c)
	}
	if answer, _ := w.speak("PUT /app.js HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"); answer.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("allowed is %v", answer.Header)
	}
	// A deployment that puts a link in the place of another, and one that takes all away.
	w.write("next/app.js", "the next one")
	if err := os.Rename(filepath.Join(w.dir, "current"), filepath.Join(w.dir, "before")); err != nil {
		t.Fatal(err)
	}
	w.tell("shop", [3]string{"GET /old/app.js", "", "404 file_not_found"})
	if err := os.Symlink("next", filepath.Join(w.dir, "current")); err != nil {
		t.Fatal(err)
	}
	w.tell("shop", [3]string{"GET /old/app.js", "", "200 the next one"})
	below := newWorkshop(t, "scripts/none.lua", "", "site/index.html", "home", "site/a.txt", "text", "c.yaml",
		tenantsOf("shop", "domains: [shop.example.com], path_prefix: /docs, strip_slashes: true, routes: [{files: {root: site}}]"))
	below.strict = true
	below.run()
	for _, c := range [][3]string{
		{"GET /docs?q", "", "308 /docs/?q"}, {"GET /docs/", "", "200 home"}, {"GET /docs/a.txt", "", "200 text"}, {"GET /docs/a.txt/", "", "404 file_not_found"}, {"GET /docsx", "", "404 no_tenant"},
	} {
		below.tell("shop", c)
	}
}

// TestPartsOfFiles: conditions, ranges, variants and fields.
func TestPartsOfFiles(t *testing.T) {
	t.Parallel()
	w := site(t, "{files: {root: site}}")
	w.run()
	get := func(path, fields string) (*http.Response, string) {
		return w.speak("GET " + path + " HTTP/1.1\r\nHost: shop.example.com\r\n" + fields + "\r\n")
	}
	answer, _ := get("/app.js", "")
	tag := answer.Header.Get("ETag")
	date := changed.Format(http.TimeFormat)
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Last-Modified": date, "Accept-Ranges": "bytes", "Vary": "Accept-Encoding", "Content-Encoding": "",
	} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	later, earlier := changed.Add(time.Second).Format(http.TimeFormat), changed.Add(-time.Second).Format(http.TimeFormat)
	for _, c := range []struct {
		path, fields string
		status       int
		body, more   string
	}{
		{"/app.js", "Accept-Encoding: gzip\r\n", 200, "by gzip", "gzip"},
		{"/app.js", "Accept-Encoding: br, gzip\r\n", 200, "by brotli", "br"},
		{"/app.js", "Accept-Encoding: br;q=0.5, gzip\r\n", 200, "by gzip", "gzip"},
		{"/app.js", "Accept-Encoding: zstd, gzip;q=0.1\r\n", 200, "by gzip", "gzip"},
		{"/app.js", "Accept-Encoding: gzip;q=0\r\n", 200, "the script", ""},
		{"/app.js", "Accept-Encoding: identity, gzip;q=0.5\r\n", 200, "the script", ""},
		{"/app.js.gz", "", 200, "by gzip", ""},
		{"/empty/x.png", "Accept-Encoding: gzip\r\n", 200, "picture", ""},
		{"/app.js", "If-None-Match: " + tag + "\r\n", 304, "", ""},
		{"/app.js", "If-None-Match: W/" + tag + "\r\n", 304, "", ""},
		{"/app.js", "If-None-Match: \"x\", " + tag + "\r\n", 304, "", ""},
		{"/app.js", "If-None-Match: \"x\"\r\nIf-None-Match: " + tag + "\r\n", 304, "", ""},
		{"/app.js", "If-None-Match: *\r\n", 304, "", ""},
		{"/app.js", "If-None-Match: \"x\"\r\nIf-Modified-Since: " + date + "\r\n", 200, "the script", ""},
		{"/app.js", "Accept-Encoding: gzip\r\nIf-None-Match: " + tag + "\r\n", 200, "by gzip", "gzip"},
		{"/app.js", "If-Modified-Since: " + date + "\r\n", 304, "", ""},
		{"/app.js", "If-Modified-Since: " + later + "\r\n", 304, "", ""},
		{"/app.js", "If-Modified-Since: " + earlier + "\r\n", 200, "the script", ""},
		{"/app.js", "If-Modified-Since: yesterday\r\n", 200, "the script", ""},
		{"/app.js", "If-Match: " + tag + "\r\n", 200, "the script", ""},
		{"/app.js", "If-Match: *\r\n", 200, "the script", ""},
		{"/app.js", "If-Match: W/" + tag + "\r\n", 412, "", ""},
		{"/app.js", "If-Match: \"x\"\r\n", 412, "", ""},
		{"/app.js", "If-Unmodified-Since: " + earlier + "\r\n", 412, "", ""},
		{"/app.js", "If-Unmodified-Since: " + date + "\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=4-\r\n", 206, "script", "bytes 4-9/10"},
		{"/app.js", "Range: bytes=0-2\r\n", 206, "the", "bytes 0-2/10"},
		{"/app.js", "Range: bytes=-3\r\n", 206, "ipt", "bytes 7-9/10"},
		{"/app.js", "Range: bytes=-30\r\n", 206, "the script", "bytes 0-9/10"},
		{"/app.js", "Range: bytes=4-99999999999999999999999\r\n", 206, "script", "bytes 4-9/10"},
		{"/app.js", "Range: bytes=10-\r\n", 416, "", "bytes */10"},
		{"/app.js", "Range: bytes=-0\r\n", 416, "", "bytes */10"},
		{"/app.js", "Range: bytes=99999999999999999999999-\r\n", 416, "", "bytes */10"},
		{"/none.txt", "Range: bytes=0-\r\n", 416, "", "bytes */0"},
		{"/app.js", "Range: bytes=5-4\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=a-\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=-\r\n", 200, "the script", ""},
		{"/app.js", "Range: lines=0-1\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=0-1,3-4\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=0-1\r\nRange: bytes=0-1\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=0-2\r\nIf-Range: " + tag + "\r\n", 206, "the", "bytes 0-2/10"},
		{"/app.js", "Range: bytes=0-2\r\nIf-Range: W/" + tag + "\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=0-2\r\nIf-Range: \"x\"\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=0-2\r\nIf-Range: " + date + "\r\n", 206, "the", "bytes 0-2/10"},
		{"/app.js", "Range: bytes=0-2\r\nIf-Range: " + later + "\r\n", 200, "the script", ""},
		{"/app.js", "Range: bytes=3-\r\nAccept-Encoding: gzip\r\n", 206, "gzip", "bytes 3-6/7"},
		{"/big.bin", "Range: bytes=70000-70009\r\n", 206, "0123456789", "bytes 70000-70009/100000"},
		{"/big.bin", "Range: bytes=1-\r\n", 206, strings.Repeat("0123456789", 10_000)[1:], "bytes 1-99999/100000"},
		{"/big.bin", "", 200, strings.Repeat("0123456789", 10_000), ""},
	} {
		answer, body := get(c.path, c.fields)
		more := answer.Header.Get("Content-Range") + answer.Header.Get("Content-Encoding")
		if answer.StatusCode == 206 {
			more = answer.Header.Get("Content-Range")
		}
		if answer.StatusCode != c.status || body != c.body || more != c.more {
			t.Errorf("%s %q: %d %.40q %q, want %d %.40q %q", c.path, c.fields, answer.StatusCode, body, more, c.status, c.body, c.more)
		}
		if answer.StatusCode == 304 && answer.Header.Get("ETag") != tag {
			t.Errorf("%s %q: the tag of 304 is %q", c.path, c.fields, answer.Header.Get("ETag"))
		}
	}
	answer, body := askRaw(t, w.server.Addr().String(), "HEAD /big.bin HTTP/1.1\r\nHost: shop.example.com\r\nRange: bytes=0-1\r\n\r\n")
	if answer.StatusCode != 200 || answer.ContentLength != 100_000 || body != "" {
		t.Errorf("HEAD: %d, %d, %q", answer.StatusCode, answer.ContentLength, body)
	}
}

// TestFilesAndTheRest: scripts' middleware, policies and compression see files as they do
// targets' responses.
func TestFilesAndTheRest(t *testing.T) {
	t.Parallel()
	w := site(t, "{path: '/guarded/*', policies: [{ip: {deny: 127.0.0.1}}], files: {root: site}}, {files: {root: site}, policies: [{headers: {response: {set: {Cache-Control: no-cache}}}}]}", "scripts/edge.lua", `
chi_middleware(function(request, response, next)
  next()
  local how = request:query_param("how")
  if how == "read" then response:set_body(response.body:upper())
  elseif how == "replace" then response:set_body("replaced")
  elseif how == "status" then response:status(404)
  elseif how == "none" then response:status(204)
  elseif how == "only" then local _ = response.body
  elseif how == "big" then response:header("X-Read", tostring(pcall(function() return response.body end))) end
end)`)
	w.replace("c.yaml", "lua: {timeout: 20s}", "lua: {timeout: 20s, max_body: 64KiB}, lua_routes: [edge.lua], compression: {enabled: true, content_types: [text/html, application/octet-stream], min_size: 1}")
	w.run()
	for _, c := range [][3]string{
		{"GET /app.js", "", "200 the script"},
		{"GET /app.js?how=read", "", "200 THE SCRIPT"},
		{"GET /app.js?how=only", "Accept-Encoding: gzip\r\n", "200 by gzip"},
		{"GET /app.js?how=replace", "", "200 replaced"},
		{"GET /app.js?how=status", "", "404 the script"},
		{"GET /app.js?how=none", "", "204"},
		{"HEAD /app.js?how=only", "", "200"},
		{"HEAD /big.bin?how=only", "", "200"},
		{"GET /app.js?how=read", "Range: bytes=4-\r\n", "200 SCRIPT"},
		{"GET /app.js?how=only", "Range: bytes=4-\r\n", "206 script"},
		{"GET /missing?how=only", "", "404 file_not_found"},
		{"GET /guarded/app.js", "", "403 ip_denied"},
		{"GET /guarded%2Fapp.js", "", "403 ip_denied"},
		{"GET /guarded;x/app.js", "", "403 ip_denied"},
	} {
		w.tell("shop", c)
	}
	answer, _ := w.speak("GET /app.js?how=replace HTTP/1.1\r\nHost: shop.example.com\r\nAccept-Encoding: gzip\r\n\r\n")
	if h := answer.Header; h.Get("ETag") != "" || h.Get("Content-Encoding") != "" || h.Get("Cache-Control") != "no-cache" {
		t.Errorf("fields of a body that was replaced: %v", h)
	}
	if answer, _ = w.speak("GET /big.bin?how=big HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"); answer.StatusCode != 200 || answer.Header.Get("X-Read") != "false" || answer.ContentLength != 100_000 {
		t.Errorf("a file beyond lua.max_body: %d %v", answer.StatusCode, answer.Header)
	}
	answer, body := w.speak("GET /big.bin HTTP/1.1\r\nHost: shop.example.com\r\nAccept-Encoding: gzip\r\n\r\n")
	if answer.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(answer.Header.Get("ETag"), "W/") || answer.Header.Get("Accept-Ranges") != "" {
		t.Errorf("compressed on the way: %v", answer.Header)
	}
	unpacked, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(plain, bytes.Repeat([]byte("0123456789"), 10_000)) {
		t.Errorf("unpacked: %d bytes, %v", len(plain), err)
	}
	answer, body = w.speak("GET /big.bin HTTP/1.1\r\nHost: shop.example.com\r\nAccept-Encoding: gzip\r\nRange: bytes=3-5\r\n\r\n")
	if answer.StatusCode != 206 || body != "345" || answer.Header.Get("Content-Encoding") != "" {
		t.Errorf("a part isn't compressed: %d %q %v", answer.StatusCode, body, answer.Header)
	}
}
