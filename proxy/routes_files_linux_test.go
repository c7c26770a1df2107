package proxy_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openBelow counts the process's descriptors of files below a directory.
func openBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if to, err := os.Readlink("/proc/self/fd/" + one.Name()); err == nil && strings.HasPrefix(to, dir+"/") {
			n++
		}
	}
	return n
}

// TestFilesAreClosed: a file is open while it is sent, and not longer: whoever leaves, and
// whatever scripts do with it.
func TestFilesAreClosed(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/edge.lua", `
chi_middleware(function(request, response, next)
  next()
  local how = request:query_param("how")
  if how == "replace" then response:set_body("replaced")
  elseif how == "error" then error("on purpose")
  elseif how == "read" then local _ = response.body end
end)`, "c.yaml", tenantsOf(
		"plain", "domains: [plain.example.com], routes: [{files: {root: site}}]",
		"scripted", "domains: [scripted.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}, routes: [{files: {root: site}}]"))
	path := filepath.Join(w.dir, "site/large.bin")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 64<<20); err != nil {
		t.Fatal(err)
	}
	w.strict = true
	w.run()
	var clients []net.Conn
	for i := range 8 {
		conn, err := net.Dial("tcp", w.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		clients = append(clients, conn)
		fmt.Fprintf(conn, "GET /large.bin HTTP/1.1\r\nHost: %s.example.com\r\n\r\n", []string{"plain", "scripted"}[i%2])
		if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the files are open", func() bool { return openBelow(t, w.dir) == len(clients) })
	for _, conn := range clients {
		_ = conn.Close()
	}
	eventually(t, "they are closed", func() bool { return openBelow(t, w.dir) == 0 })
	for how, want := range map[string]string{"replace": "200 replaced", "error": "500 script_error", "read": "200"} {
		answer, body := askRaw(t, w.server.Addr().String(), "GET /large.bin?how="+how+" HTTP/1.1\r\nHost: scripted.example.com\r\nRange: bytes=0-99999\r\n\r\n")
		if got := routed(answer, body[:min(len(body), 20)]); !strings.HasPrefix(got, want) && answer.StatusCode != 206 {
			t.Errorf("%s: got %.50q, want %s", how, got, want)
		}
	}
	for _, fields := range []string{"", "Range: bytes=5-9\r\n", "If-Match: \"x\"\r\n", "Range: bytes=99999999999-\r\n"} {
		for _, method := range []string{"HEAD", "GET"} {
			conn, err := net.Dial("tcp", w.server.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s /large.bin HTTP/1.1\r\nHost: plain.example.com\r\nConnection: close\r\n%s\r\n", method, fields)
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		}
	}
	eventually(t, "all are closed", func() bool { return openBelow(t, w.dir) == 0 })
}
