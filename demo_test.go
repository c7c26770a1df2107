package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestDemo greets as go run . -demo does, on other ports, and shows the page.
func TestDemo(t *testing.T) {
	text, err := os.ReadFile("config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Abs("scripts")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", demoGRPC, service.Addr().String(), "scripts_dir: scripts", "scripts_dir: "+scripts).Replace(string(text))
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DEMO_API_KEY", "demo")
	config, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{}
	besides, err := d.secure(config)
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Options{File: file, Config: config, Besides: besides, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upstream := &fasthttp.Server{Handler: d.handler(1)}
	go func() { _ = upstream.Serve(listener) }()
	d.servers, d.grpc = append(d.servers, upstream), newDemoGRPC()
	go func() { _ = d.grpc.Serve(service) }()
	defer d.stop()
	if status, _ := page(t, listener, "/welcome/"); status != http.StatusNotFound {
		t.Errorf("before the gateway listens: %d", status)
	}
	greeting, err := os.Create(filepath.Join(t.TempDir(), "greeting"))
	if err != nil {
		t.Fatal(err)
	}
	d.greet(greeting, server, "http://127.0.0.1:9090/admin")
	said, err := os.ReadFile(greeting.Name())
	if err != nil {
		t.Fatal(err)
	}
	status, shown := page(t, listener, "/welcome/")
	if status != http.StatusOK {
		t.Errorf("the page: %d", status)
	}
	base := "http://" + server.Addr().String()
	port := server.Addr().String()[strings.LastIndexByte(server.Addr().String(), ':'):]
	for _, line := range []string{
		"curl -H 'Host: shop.example.com' '" + base + "/hello'", "curl -H 'Host: shop.example.com' '" + base + "/hello/Ada'",
		"curl -H 'Authorization: Bearer demo' '" + base + "/api/users?page=2'", "curl http://127.0.0.1:9090/admin/health",
	} {
		if !strings.Contains(string(said), line) || !strings.Contains(html.UnescapeString(shown), line) {
			t.Errorf("greeting and page don't both have %s", line)
		}
	}
	if !strings.Contains(string(said), "open "+base+"/ in a browser") {
		t.Errorf("the greeting doesn't lead to the page: %s", said)
	}
	for _, part := range []string{`<a href="http://127.0.0.1:9090/admin/tenants">`, `<a href="http://shop.localhost` + port + `/hello/Ada">`, "<td>welcome</td>"} {
		if !strings.Contains(shown, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	demandGRPC(t, string(said))
	demandSecure(t, string(said))
	if result := server.Reload(); !result.OK || len(result.Changes) > 0 {
		t.Errorf("a reload: %+v", result)
	}
	demandSecure(t, string(said))
	shown = strings.ReplaceAll(shown, "https://localhost:", "")
	for _, part := range []string{"https://", "<script", "src=", "@import"} { // it works without the internet
		if strings.Contains(shown, part) {
			t.Errorf("the page has %s", part)
		}
	}
	for _, path := range []string{"/welcome", "/welcome/favicon.ico"} {
		if status, _ := page(t, listener, path); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
	if status, body := page(t, listener, "/hello"); status != http.StatusOK || !strings.HasPrefix(body, "upstream 1: GET /hello") {
		t.Errorf("/hello: %d %s", status, body)
	}
}

// demandSecure asks by the line with --cacert, as it is printed.
func demandSecure(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "   #")
		file, found := strings.CutPrefix(line, "curl --cacert ")
		if !found {
			continue
		}
		file, _, _ = strings.Cut(file, " ")
		_, url, _ := strings.Cut(line, "'https://")
		text, err := os.ReadFile(file) // #nosec G304 -- of this test
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(text) {
			t.Fatalf("%s: no certificate: %v", file, err)
		}
		for _, host := range []string{"localhost", "127.0.0.1"} {
			transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+strings.Replace(strings.TrimSuffix(url, "'"), "localhost", host, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = "shop.example.com"
			answer, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if _ = answer.Body.Close(); answer.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", host, answer.Status)
			}
		}
		if _, err := exec.LookPath("curl"); err != nil {
			t.Log("there is no curl: the line isn't run as it stands")
			return
		}
		for option, version := range map[string]string{"": "2", " --http2": "2", " --http1.1": "1.1"} {
			const answer = `{"hello":"Ada","tenant":"shop"}`
			asked := line + option
			output, err := exec.Command("sh", "-c", asked+" --silent --show-error --noproxy '*' --write-out '%{http_version}'").CombinedOutput() // #nosec G204 -- what is tried is the line
			if got := string(output); err != nil || strings.TrimSpace(strings.TrimSuffix(got, version)) != answer || !strings.HasSuffix(got, version) {
				t.Errorf("%s\ngot  %s (%v)\nwant %s, and HTTP/%s", asked, output, err, answer, version)
			}
		}
		return
	}
	t.Errorf("there is no line with --cacert in %s", said)
}

func page(t *testing.T, at net.Listener, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + at.Addr().String() + path)
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

// TestWatchParent kills the process that has started another one: a parent like
// go run, which passes nothing on. The test's own binary plays both.
func TestWatchParent(t *testing.T) {
	const role = "KEYSTONE_TEST_ROLE"
	again := func(next string) *exec.Cmd {
		command := exec.Command(os.Args[0], "-test.run=^TestWatchParent$") // #nosec G204 -- this very binary
		command.Env = append(os.Environ(), role+"="+next)
		return command
	}
	switch os.Getenv(role) {
	case "child":
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		parent := os.Getppid()
		_, _ = os.Stdout.WriteString("\nwatching\n")
		watchParent(ctx, parent, func() { _, _ = os.Stdout.WriteString("\nended with its parent\n") })
		return
	case "parent":
		command := again("child")
		command.Stdout = os.Stdout
		if err := command.Run(); err != nil {
			t.Fatal(err)
		}
		return
	}
	parent := again("parent")
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines, ended := bufio.NewScanner(output), false
	for lines.Scan() { // until the child ends, too
		switch lines.Text() {
		case "watching":
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		case "ended with its parent":
			ended = true
		}
	}
	_ = parent.Wait() // it was killed
	if !ended {
		t.Error("the child went on without its parent")
	}
}
