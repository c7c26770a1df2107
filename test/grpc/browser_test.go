package grpc_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/browser"
)

// page calls services of another origin by fetch, as clients of gRPC-Web do, and shows
// what has come of it: the status, what may be read of the header, how long the message is
// and whether the trailers are there. The messages are a response_size of 100, and a status.
const page = `<!doctype html><html><head><script>
const call = async (host, bytes) => {
  const frame = String.fromCharCode(0, 0, 0, 0, bytes.length, ...bytes);
  try {
    const response = await fetch('http://' + host + ':PORT/grpc.testing.TestService/UnaryCall', {
      method: 'POST', headers: { 'content-type': 'application/grpc-web-text', 'x-grpc-web': '1' }, body: btoa(frame),
    });
    const text = (await response.text()).split(/(?<==)(?=[^=])/).map(atob).join('');
    return [response.status, response.headers.get('grpc-status'), response.headers.get('grpc-message'), text.charCodeAt(4), /grpc-status: ?0/.test(text)].map(String).join(' ');
  } catch (err) {
    return err.name;
  }
};
(async () => {
  const lines = [await call('127.0.0.1', [16, 100]), await call('127.0.0.1', [58, 7, 8, 7, 18, 3, 110, 111, 33]), await call('localhost', [16, 100])];
  document.body.textContent = lines.join('; ');
})();
</script></head><body></body></html>`

// TestWebBrowser has a page of another origin call services by gRPC-Web, where the policy
// cors lets it, as docs/grpc.md has it, and where no policy does.
func TestWebBrowser(t *testing.T) {
	t.Parallel()
	port := make(chan string, 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		at := <-port
		port <- at
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(strings.Replace(page, "PORT", at, 1)))
	}))
	t.Cleanup(site.Close)
	address, _ := target(t)
	server := start(t, `listeners: [{address: ":0"}]
tenants:
- name: t
  domains: [127.0.0.1]
  services: [{url: "grpc://`+address+`"}]
  grpc: {web: true}
  policies:
    - cors:
        origins: ["`+site.URL+`"]
        methods: [POST]
        headers: [content-type, x-grpc-web, x-user-agent, grpc-timeout, authorization]
        expose: [grpc-status, grpc-message, grpc-status-details-bin]
- {name: closed, domains: [localhost], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}
`)
	at := server.Addr().String()
	port <- at[strings.LastIndex(at, ":")+1:]
	want := "200 null null 104 true; 200 7 no! NaN false; TypeError"
	if got := browser.Text(t, site.URL+"/"); got != want {
		t.Errorf("the page shows %q, want %q", got, want)
	}
}
