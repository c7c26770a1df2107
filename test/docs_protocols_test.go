package test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestDocsProtocols runs a gateway by the first configuration of docs/protocols.md, on
// ports of its own, and each curl line of the page, which must get what it asks for.
func TestDocsProtocols(t *testing.T) {
	t.Parallel()
	version, err := exec.CommandContext(t.Context(), "curl", "--version").Output()
	if err != nil {
		missing(t, "there is no curl")
	}
	text, err := os.ReadFile("../docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "```yaml\n")
	config, page, found := strings.Cut(page, "```")
	if !found || !strings.Contains(config, "listeners:") {
		t.Fatalf("the page begins with no configuration of listeners: %s", config)
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	}))
	defer target.Close()
	dir := t.TempDir()
	certified(t, dir)
	ports := map[string]string{} // of the page's
	config = regexp.MustCompile(`address: "[^"]*"`).ReplaceAllStringFunc(config, func(address string) string {
		_, number, err := net.SplitHostPort(strings.Trim(strings.TrimPrefix(address, "address: "), `"`))
		if err != nil {
			t.Fatal(err)
		}
		own := port.Reserve(t)
		ports[number] = own
		return fmt.Sprintf("address: %q", own)
	})
	config = strings.NewReplacer("cert.pem", dir+"/cert.pem", "key.pem", dir+"/key.pem", "http://127.0.0.1:9000", target.URL).Replace(config)
	if len(ports) < 5 {
		t.Fatalf("the page has the ports %v, want 5", ports)
	}
	g := &gateway{address: ports["8080"], admin: port.Reserve(t), config: dir + "/config.yaml"}
	if err := os.WriteFile(g.config, []byte("admin: {address: "+g.admin+"}\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.launch(t)
	g.awaitReady(t)
	// The certificate is a test's, and the page's hosts and ports are the gateway's.
	curl := func(options string) string {
		command := "curl --silent --show-error --noproxy '*' --max-time 60 --insecure " + options + " --write-out ' %{http_version} %{http_code}'"
		for number, own := range ports {
			_, to, _ := net.SplitHostPort(own)
			command += " --connect-to :" + number + ":127.0.0.1:" + to
		}
		if strings.Contains(options, "--http2") && !strings.Contains(string(version), "HTTP2") {
			t.Skip("this curl has no HTTP/2")
		}
		output, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput() // #nosec G204 -- what is tried is the line
		if err != nil {
			return fmt.Sprintf("%s (%v)", output, err)
		}
		return string(output)
	}
	lines := 0
	for line := range strings.Lines(page) {
		options, found := strings.CutPrefix(strings.TrimSpace(line), "$ curl ")
		if !found {
			continue
		}
		lines++
		want := "GET / 2 200"
		if strings.Contains(options, "--http1.1") {
			want = "GET / 1.1 200"
		}
		if got := curl(options); got != want {
			t.Errorf("curl %s: %s, want %s", options, got, want)
		}
	}
	if lines < 3 {
		t.Errorf("the page has %d curl lines, want 3", lines)
	}
	// What is said of each listener, beside it.
	for options, want := range map[string]string{
		"https://shop.example.com:443/":                               "GET / 2 200",
		"--http2 https://shop.example.com:8443/":                      "GET / 1.1 200",
		"https://shop.example.com:8444/":                              "GET / 2 200",
		"http://shop.example.com:8080/":                               "GET / 1.1 200",
		"--http2 http://shop.example.com:8080/":                       "GET / 1.1 200", // with Upgrade: h2c, which isn't taken
		"--http2-prior-knowledge http://shop.example.com:8081/":       "GET / 2 200",
		"--output /dev/null http://shop.example.com:8081/":            " 1.1 505",
		"--http1.1 --output /dev/null https://shop.example.com:8444/": " 1.1 505",
	} {
		if got := curl(options); got != want {
			t.Errorf("curl %s: %s, want %s", options, got, want)
		}
	}
}
