package modules_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// evil answers in ways that servers shouldn't.
func evil(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/endless":
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	case "/huge":
		w.Header().Set("Content-Length", "1000000000")
		_, _ = w.Write(make([]byte, 4<<10))
	case "/big":
		_, _ = w.Write(make([]byte, 1<<20))
	case "/silent":
		<-r.Context().Done()
	case "/stops":
		_, _ = io.WriteString(w, "part")
		http.NewResponseController(w).Flush() //nolint:errcheck // the client may be gone
		<-r.Context().Done()
	case "/bomb":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(make([]byte, 8<<20))
		_ = z.Close()
	case "/members": // gzip without content, without end
		w.Header().Set("Content-Encoding", "gzip")
		var member bytes.Buffer
		_ = gzip.NewWriter(&member).Close()
		many := bytes.Repeat(member.Bytes(), 1000)
		for r.Context().Err() == nil {
			if _, err := w.Write(many); err != nil {
				return
			}
		}
	case "/small.gz":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "inflated")
		_ = z.Close()
	case "/notgzip":
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "no gzip at all")
	case "/switch":
		conn, _, _ := http.NewResponseController(w).Hijack()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		<-r.Context().Done()
		_ = conn.Close()
	case "/metadata":
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	case "/file":
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/once":
		http.Redirect(w, r, "/", http.StatusFound)
	}
}

func TestHTTPEvilServers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(evil))
	defer server.Close()
	defer server.CloseClientConnections()
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), map[string]string{"u": server.URL})
	for _, c := range []struct{ name, script, want string }{
		{"endless", `return http.get(u.."/endless", {max_response = 5000})`, "nil|response larger than 5000 bytes"},
		{"endless, default cap", `return http.get(u.."/endless")`, "nil|response larger than 1048576 bytes"},
		{"exactly the cap", `return #http.get(u.."/big", {max_response = 1048576}).body`, "1048576"},
		{"promises much", `local r, m = http.get(u.."/huge", {max_response = 5000}) return r, type(m)`, "nil|string"},
		{"silent", `return http.get(u.."/silent", {timeout = 0.03})`, "nil|no complete response within 30ms"},
		{"stops in the body", `return http.get(u.."/stops", {timeout = 0.03})`, "nil|no complete response within 30ms"},
		{"switches protocols", `return http.get(u.."/switch", {timeout = 1})`, "nil|the server switched protocols without being asked"},
		{"bomb", `return http.get(u.."/bomb", {decompress = true})`, "nil|response larger than 1048576 bytes"},
		{"bomb, packed", `return http.get(u.."/bomb").headers["content-encoding"]`, "gzip"},
		{"empty members", `return http.get(u.."/members", {decompress = true})`, "nil|response larger than 1048576 bytes"},
		{"inflated", `local r = http.get(u.."/small.gz", {decompress = true}) return r.body, r.headers["content-encoding"]`, "inflated|nil"},
		{"not gzip", `return http.get(u.."/notgzip", {decompress = true})`, "nil|the content is not gzip"},
		{"redirect is the response", `return http.get(u.."/metadata").headers.location`, "http://169.254.169.254/latest/meta-data/"},
		{"redirect to metadata", `return http.get(u.."/metadata", {redirects = 3})`, "nil|connecting to 169.254.169.254 is not allowed"},
		{"redirect to a file", `return http.get(u.."/file", {redirects = 3})`, `nil|redirected to the scheme "file"`},
		{"redirect in a loop", `return http.get(u.."/loop", {redirects = 3})`, "nil|more than 3 redirects"},
		{"redirect once", `return http.get(u.."/once", {redirects = 1}).url == u.."/"`, "true"},
		{"several", `local r = http.all{u.."/endless", u.."/", {url = u.."/silent", timeout = 0.03}} return r[1].error, r[2].status, r[3].error`,
			"response larger than 1048576 bytes|200|no complete response within 30ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := netEval(L, c.script)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestHTTPUsesTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	L := netVM(t, netTenant(t, fetch.Config{}), vmtest.Limits(), map[string]string{"u": server.URL})
	if got, err := netEval(L, `local r, m = http.get(u) return r, m`); err != nil || !strings.Contains(got, "certificate") {
		t.Errorf("an unknown authority: %q, %v", got, err)
	}
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	L = netVM(t, netTenant(t, fetch.Config{RootCAs: pool}), vmtest.Limits(), map[string]string{"u": server.URL})
	if got, err := netEval(L, `return http.get(u).status`); err != nil || got != "200" {
		t.Errorf("a known authority: %q, %v", got, err)
	}
}
