package test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestBenchCommand demands the status and the report of keystone-gateway bench.
func TestBenchCommand(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	nobody := "http://" + port.Reserve(t)
	directory := t.TempDir()
	targets, wrong := filepath.Join(directory, "targets"), filepath.Join(directory, "wrong")
	for file, text := range map[string]string{targets: "/\nPOST /broken weight=3\n", wrong: "/\n/ wait=1\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	short := []string{"bench", "-d", "500ms", "-warmup", "0", "-c", "2"}
	for _, c := range []struct {
		arguments      string
		code           int
		stdout, stderr string
	}{
		{"-url " + server.URL, 0, "2xx", ""},
		// A connection for each request: a slow machine leaves none unsent.
		{"-url " + server.URL + " -rate 100 -c 50 -max-p99 1h -max-errors 0", 0, "service time", ""},
		{"-url " + server.URL + " -H Host:app.example", 0, "2xx", ""},
		{"-url " + server.URL + " -body hello -keepalive=false", 0, "bodies of 5 B", ""},
		{"-url " + server.URL + " -targets " + targets, 0, "5xx", ""},
		{"-url " + server.URL + " -targets " + targets + " -max-errors 50%", 3, "5xx", "(-max-errors)"},
		{"-url " + server.URL + " -max-p99 1ns", 3, "2xx", "(-max-p99)"},
		{"-url " + nobody, 1, "connect", "no request was answered"},
		{"", 1, "", "expected -url or -targets"},
		{"-url localhost:80", 1, "", "the scheme is missing"},
		{"-url " + server.URL + " -c 0", 1, "", "-c is 0, expected 1 to 65535"},
		{"-url " + server.URL + " -H nonsense", 1, "", "expected 'Name: value'"},
		{"-url " + server.URL + " -max-errors -1", 1, "", "-max-errors is"},
		{"-url " + server.URL + " -body a -body-file " + targets, 1, "", "expected one of them"},
		{"-url " + server.URL + " -cacert " + targets, 1, "", "expected certificates in PEM"},
		{"-url " + server.URL + " -targets " + wrong, 1, "", wrong + `:2: unexpected "wait=1"`},
		{"-url " + server.URL + " extra", 1, "", `unexpected argument "extra"`},
	} {
		stdout, stderr, code := runBinary(t, append(short, strings.Fields(c.arguments)...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("bench %s: exit code %d, printed %q and complained %q; want %d, %q and %q", c.arguments, code, stdout, stderr, c.code, c.stdout, c.stderr)
		}
	}
}

// TestBenchReports demands the same report in all places that were asked for.
func TestBenchReports(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	page, file := filepath.Join(t.TempDir(), "report.html"), filepath.Join(t.TempDir(), "report.json")
	stdout, stderr, code := runBinary(t, "bench", "-url", server.URL, "-d", "500ms", "-warmup", "0", "-json", "-o", page, "-out-json", file)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Requests int            `json:"requests"`
		Statuses map[string]int `json:"statuses"`
	}
	if err := json.Unmarshal(written, &report); err != nil || string(written) != stdout {
		t.Errorf("the file differs from what was printed (%v): %.300q", err, written)
	}
	if report.Requests == 0 || report.Statuses["200"] != report.Requests {
		t.Errorf("got %+v, want all requests answered with 200", report)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.HasPrefix(string(html), "<!DOCTYPE html>") || !strings.Contains(string(html), server.URL) {
		t.Errorf("the page (%v) is %.300q", err, html)
	}
}
