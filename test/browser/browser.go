// Package browser has a browser, headless Chromium, load pages for tests. It is for tests
// only.
//
//	text := browser.Text(t, "http://127.0.0.1:8080/page") // what its scripts have left of it
package browser

import (
	"bytes"
	"html"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// programs are names of the browser.
var programs = []string{"chromium-headless-shell", "chromium", "google-chrome"}

// find skips where there is none.
func find(t testing.TB) string {
	t.Helper()
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("KEYSTONE_CI") != "" {
		t.Fatal("there is no Chromium, and KEYSTONE_CI forbids to skip")
	}
	t.Skip("there is no Chromium; Debian's package is chromium-headless-shell")
	return ""
}

// Text loads a page, waits until what its scripts wait for from the network is there, and
// returns the text of its body, without white space around it. flags are the browser's.
func Text(t testing.TB, url string, flags ...string) string {
	t.Helper()
	program := find(t)
	arguments := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--no-proxy-server", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=60000", "--timeout=60000", "--dump-dom",
	}, flags...)
	command := exec.CommandContext(t.Context(), program, append(arguments, url)...) // #nosec G204 -- the test's own
	var said bytes.Buffer
	command.Stderr = &said
	page, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, said.String())
	}
	_, body, ok := strings.Cut(string(page), "<body>")
	body, _, closed := strings.Cut(body, "</body>")
	if !ok || !closed {
		t.Fatalf("%s shows no page: %s\n%s", program, page, said.String())
	}
	body = strings.TrimSuffix(strings.TrimPrefix(body, "<pre>"), "</pre>")
	return html.UnescapeString(strings.TrimSpace(body))
}
