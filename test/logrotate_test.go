package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLogRotation renames the access log and demands that SIGUSR1, and SIGHUP
// with a configuration that is bad as a whole, open it again.
func TestLogRotation(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	config := simpleConfig(upstream, "access_log: {output: \""+log+"\"}")
	g := startGateway(t, config)
	logged := func(path string) {
		t.Helper()
		if got := g.getStatus(t, "a", path); got != 200 {
			t.Fatalf("%s: %d, want 200", path, got)
		}
		eventually(t, patience, path+" is in the log", func() bool {
			text, _ := os.ReadFile(log)
			return strings.Contains(string(text), `"path":"`+path+`"`)
		})
	}
	rotate := func(signal os.Signal) {
		t.Helper()
		if err := os.Rename(log, log+"."+signal.String()); err != nil {
			t.Fatal(err)
		}
		if err := g.command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "there is a new file", func() bool { return exists(log) })
	}
	logged("/first")
	rotate(syscall.SIGUSR1)
	logged("/second")
	g.write(t, config+"\nnonsense: 1\n")
	rotate(syscall.SIGHUP)
	logged("/third")
	eventually(t, patience, "the reload was refused", func() bool { return strings.Contains(g.output.String(), "reload refused") })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestLogLevel changes what is logged, and how, by a reload.
func TestLogLevel(t *testing.T) {
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	scripts := t.TempDir()
	if err := os.WriteFile(filepath.Join(scripts, "talk.lua"), []byte(`
chi_middleware(function(request, response, next)
  log.debug("debug of " .. request.path)
  log.error("error of " .. request.path)
  next()
end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(log string) string {
		return "log: " + log + "\nlua_routing: {enabled: true, scripts_dir: \"" + scripts + "\"}\naccess_log: {output: stdout}\n" +
			simpleConfig(upstream, "    lua_routes: [talk.lua]\n    lua: {"+patientLua+"}")
	}
	g := startGateway(t, config("{level: info, format: json}"))
	ask := func(path string, want string) {
		t.Helper()
		g.getStatus(t, "shop.example.com", path)
		eventually(t, patience, want, func() bool { return strings.Contains(g.output.String(), want) })
	}
	reload := func(log string) {
		t.Helper()
		g.write(t, config(log))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.admin+"/admin/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Gateway-Admin", "1")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("the reload answers %s", response.Status)
		}
	}
	ask("/a", "error of /a")
	reload("{level: error, format: json}")
	ask("/quiet", "error of /quiet")
	if strings.Contains(g.output.String(), `"message":"reloaded"`) {
		t.Error("the reload is logged at the level that it has left")
	}
	reload("{level: debug, format: json}")
	ask("/b", "debug of /b")
	reload("{level: info, format: console}")
	ask("/c", "GET shop.example.com/c ")
	eventually(t, patience, "the line is a sentence", func() bool {
		text := strings.NewReplacer("\x1b[90m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(g.output.String())
		return strings.Contains(text, "GET shop.example.com/c 200 ") && strings.Contains(text, " → main\n")
	})
	text := g.output.String()
	if strings.Contains(text, "debug of /a") || strings.Contains(text, "debug of /c") || strings.Contains(text, "???") {
		t.Errorf("wrong lines are there:\n%s", text)
	}
}
