package test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDrainNotice has the gateway tell load balancers that it is about to stop,
// while it serves as before: on new connections, without Connection: close. A
// second signal ends it at once.
func TestDrainNotice(t *testing.T) {
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") })
	g := (&gateway{ends: 1}).start(t, "server:\n  drain_notice: 1h\n"+simpleConfig(upstream))

	if status, _ := adminGet(t, g, "/admin/live"); status != 200 {
		t.Errorf("live before the signal: %d", status)
	}
	signal := func() {
		t.Helper()
		if err := g.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	eventually(t, patience, "live says draining", func() bool {
		status, body := adminGet(t, g, "/admin/live")
		return status == 503 && strings.Contains(body, "draining")
	})
	if status, _ := adminGet(t, g, "/admin/health"); status != 503 {
		t.Errorf("health after the signal: %d", status)
	}
	for range 3 {
		answer := dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer.status != 200 || len(valuesOf(answer.fields, "connection")) != 0 {
			t.Errorf("a request in the notice: %d, %v", answer.status, answer.fields)
		}
	}
	signal()
	select {
	case <-g.exited:
		if !strings.Contains(g.output.String(), "a second signal: ended at once") {
			t.Errorf("the second signal isn't told of: %s", g.output)
		}
	case <-time.After(patience):
		t.Error("the gateway still runs after a second signal")
	}
}

// TestDrainNoticePasses ends by itself.
func TestDrainNoticePasses(t *testing.T) {
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	g := startGateway(t, "server:\n  drain_notice: 200ms\n"+simpleConfig(upstream))
	if err := g.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	await(t, "the gateway ends", g.exited)
	about, draining := strings.Index(g.output.String(), "about to stop"), strings.Index(g.output.String(), `"draining"`)
	if about < 0 || draining < about {
		t.Errorf("the log doesn't tell of both: %s", g.output)
	}
}

func adminGet(t *testing.T, g *gateway, path string) (status int, body string) {
	t.Helper()
	answer, err := http.Get("http://" + g.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
