package test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// nghttp2Gateway is one whose target says what it was sent, without TLS and with it.
func nghttp2Gateway(t *testing.T) (urls []string) {
	t.Helper()
	for _, tool := range []string{"nghttp", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "there is no "+tool+"; Debian's package is nghttp2-client")
		}
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %d %x %s\n", r.Method, r.URL, n, sum.Sum(nil)[:4], r.Trailer.Get("X-Sum"))
	}))
	t.Cleanup(target.Close)
	_, lines := certified(t, t.TempDir())
	g := &gateway{protocols: "h2c, http/1.1", secure: port.Reserve(t)}
	g.start(t, lines+"tenants: [{name: a, domains: [127.0.0.1], services: [{url: '"+target.URL+"'}]}]\n")
	return []string{"http://" + g.address, "https://" + g.secure}
}

// TestNghttp has nghttp send requests with the settings that are hard on a server: content
// with trailers, padding, small windows, no dynamic table, and many at once.
func TestNghttp(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat("content ", 50_000))
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	sent := fmt.Sprintf("POST /a?b=c %d %x 7\n", len(content), sum[:4])
	got := fmt.Sprintf("GET /a?b=c 0 %x \n", sha256.New().Sum(nil)[:4])
	for _, url := range nghttp2Gateway(t) {
		for _, c := range []struct{ options, want string }{
			{"", got},
			{"--padding=255 --header-table-size=0 --window-bits=10 --connection-window-bits=10", got},
			{"--multiply=100", strings.Repeat(got, 100)},
			{"--expect-continue --data=" + file, strings.Replace(sent, "7\n", "\n", 1)},
			{"--trailer=x-sum:7 --no-content-length --data=" + file, sent},
			{"--trailer=x-sum:7 --no-content-length --padding=100 --expect-continue --data=" + file, sent},
			{"--trailer=x-sum:7 --no-content-length --multiply=20 --data=" + file, strings.Repeat(sent, 20)},
		} {
			arguments := append(strings.Fields(c.options), "--timeout=60", url+"/a?b=c")
			output, err := exec.CommandContext(t.Context(), "nghttp", arguments...).Output() // #nosec G204 -- the test's own
			if err != nil || string(output) != c.want {
				t.Errorf("nghttp %s: %.1000q (%v), want %.300q", strings.Join(arguments, " "), output, err, c.want)
			}
		}
	}
}

var loaded = regexp.MustCompile(`requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, 0 failed, 0 errored, 0 timeout`)

// TestH2load has h2load send thousands of requests on few connections, over HTTP/1.1 too.
func TestH2load(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, make([]byte, 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range nghttp2Gateway(t) {
		for _, options := range []string{"", "--window-bits=10 --connection-window-bits=10", "--data=" + file, "--h1"} {
			arguments := append(strings.Fields(options), "--requests=3000", "--clients=5", "--max-concurrent-streams=100", url+"/a")
			output, err := exec.CommandContext(t.Context(), "h2load", arguments...).CombinedOutput() // #nosec G204 -- the test's own
			if got := loaded.FindSubmatch(output); err != nil || got == nil || string(got[1]) != "3000" || string(got[2]) != "3000" {
				t.Errorf("h2load %s: %.1000s (%v)", strings.Join(arguments, " "), output, err)
			}
		}
	}
}
