package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	oracle "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// introducedTo starts a target that expects the PROXY protocol, as another implementation
// reads it, and says in each answer by which of its connections a request came and what
// their header was.
func introducedTo(t *testing.T, secure *tls.Config, probed func(header *oracle.Header)) (address string) {
	t.Helper()
	var mu sync.Mutex
	count := 0
	return target(t, func(plain net.Conn) {
		in := bufio.NewReader(plain)
		if _, err := in.Peek(1); err != nil {
			return // a probe that was given up, as when the gateway ends
		}
		header, err := oracle.Read(in)
		if err != nil {
			t.Errorf("the header: %v", err)
			return
		}
		if header.Command == oracle.LOCAL || header.TransportProtocol == oracle.UNSPEC && probed != nil {
			probed(header)
			return
		}
		mu.Lock()
		count++
		number := count
		mu.Unlock()
		conn := net.Conn(&readsFirst{plain, in})
		if secure != nil {
			conn = tls.Server(conn, secure)
		}
		for in := bufio.NewReader(conn); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			body := fmt.Sprintf("%d %v %v %s", number, header.SourceAddr, header.DestinationAddr, tlvsOf(header))
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
}

// readsFirst reads what is in a buffer before the connection.
type readsFirst struct {
	net.Conn
	in *bufio.Reader
}

func (r *readsFirst) Read(p []byte) (int, error) { return r.in.Read(p) }

func tlvsOf(header *oracle.Header) string {
	list, err := header.TLVs()
	if err != nil {
		return err.Error()
	}
	var parts []string
	for _, one := range list {
		if one.Type == oracle.PP2_TYPE_AUTHORITY || one.Type == oracle.PP2_TYPE_ALPN || one.Type == oracle.PP2_TYPE_UNIQUE_ID {
			parts = append(parts, string(one.Value))
		}
	}
	if secure, ok := tlvparse.FindSSL(list); ok {
		version, _ := secure.SSLVersion()
		parts = append(parts, version)
	}
	return strings.Join(parts, " ")
}

// TestIntroducing: targets are told who their clients are, over plain connections and
// before TLS, and no client's request comes by a connection that is another's.
func TestIntroducing(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	probes := make(chan *oracle.Header, 100)
	probed := func(header *oracle.Header) {
		select {
		case probes <- header:
		default:
		}
	}
	for version, scheme := range map[string]string{"v1": "http", "v2": "https"} {
		var secure *tls.Config
		if scheme == "https" {
			secure = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		}
		address := introducedTo(t, secure, probed)
		server := serve(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\nserver: {trusted_proxies: [127.0.0.2]}\n"+
			"listeners: [{address: \"127.0.0.1:0\"}, {address: \"127.0.0.1:0\", tls: true}, {address: \"127.0.0.1:0\", proxy_protocol: {from: [127.0.0.1]}}]\n"+
			"admin: {enabled: false}\naccess_log: {enabled: false}\ntenants: [{name: shop, path_prefix: /, health: {interval: 100ms, unhealthy_after: 1000}, target_tls: {insecure_skip_verify: true}, services: [{url: \"%s://%s\", proxy_protocol: %s}]}]\n",
			cert, key, scheme, address, version))
		say := func(conn net.Conn, head string) string {
			send(t, conn, head)
			return told(bufio.NewReader(conn))
		}
		first, second := dialAt(t, server, 0), dialAt(t, server, 0)
		want := func(conn net.Conn) string { return fmt.Sprintf("%v %v", conn.LocalAddr(), conn.RemoteAddr()) }
		for range 2 {
			for i, conn := range []net.Conn{first, second} {
				if got, want := say(conn, get), fmt.Sprintf("%d %s ", i+1, want(conn)); got != want {
					t.Errorf("%s, client %d: %q, want %q", version, i+1, got, want)
				}
			}
		}
		_ = first.Close() // another client doesn't get what was its
		third := dialAt(t, server, 0)
		if got, want := say(third, get), fmt.Sprintf("3 %s ", want(third)); got != want {
			t.Errorf("%s, a third client: %q, want %q", version, got, want)
		}
		over := tls.Client(dialAt(t, server, 1), &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example.com", NextProtos: []string{"http/1.1"}})
		tlvs := ""
		if version == "v2" {
			tlvs = "http/1.1 shop.example.com TLSv1.3"
		}
		if got, want := say(over, get), fmt.Sprintf("4 %s %s", want(over), tlvs); got != want {
			t.Errorf("%s, over TLS: %q, want %q", version, got, want)
		}
		if got := say(dialAt(t, server, 2), "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"+get); got != "5 192.0.2.7:40000 198.51.100.1:443 " {
			t.Errorf("%s, introduced itself: %q", version, got)
		}
		proxied := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		behind, err := proxied.Dial("tcp", server.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = behind.Close() })
		for i, client := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.1"} { // one connection, two clients
			got := say(behind, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "+client+"\r\n\r\n")
			if want := fmt.Sprintf("%d %s:0 0.0.0.0:0 ", []int{6, 7, 6}[i], client); got != want {
				t.Errorf("%s, behind a trusted proxy: %q, want %q", version, got, want)
			}
		}
		eventually(t, "a probe is the gateway's own", func() bool {
			header := <-probes
			return header.Version == 1 && header.TransportProtocol == oracle.UNSPEC || header.Version == 2 && header.Command == oracle.LOCAL
		})
	}
}
