package fetch_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// newClient returns a client that can't reach the tests' servers by default.
func newClient(tb testing.TB, c fetch.Config) *fetch.Client {
	tb.Helper()
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	client := fetch.New(c)
	tb.Cleanup(client.Close)
	return client
}

// permit makes permissions of networks.
func permit(networks ...string) (list []fetch.Permission) {
	for _, network := range networks {
		list = append(list, fetch.Permission{Network: netip.MustParsePrefix(network)})
	}
	return list
}

// get returns the status of a response, or an error.
func get(tb testing.TB, client *fetch.Client, url string) (status int, err error) {
	tb.Helper()
	r := client.NewRequest()
	if err := r.SetURL(url, ""); err != nil {
		return 0, err
	}
	answer, err := client.Do(tb.Context(), r, nil)
	if err != nil {
		return 0, err
	}
	return answer.Status, nil
}

// refused says that the guard refused to connect.
func refused(err error) bool { return err != nil && strings.Contains(err.Error(), "is not allowed") }

func TestGuard(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	loopback := fetch.Config{Allow: permit("127.0.0.0/8", "::1/128")}
	only := func(p fetch.Permission) fetch.Config {
		return fetch.Config{Allow: []fetch.Permission{p}}
	}
	port := only(fetch.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: 1})
	wrongPort := only(fetch.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: 2})
	name := only(fetch.Permission{Name: "localhost", Port: 1})
	wrongName := only(fetch.Permission{Name: "localhost", Port: 2})
	private := fetch.Config{Deny: prefixes("10.0.0.0/8")}
	mapped := fetch.Config{Deny: prefixes("::ffff:127.0.0.0/104")}
	wide := fetch.Config{Allow: permit("0.0.0.0/0", "::/0")}
	nothing := fetch.Config{Deny: prefixes("0.0.0.0/0", "::/0"), Allow: permit("127.0.0.0/8")}
	equal := fetch.Config{Deny: prefixes("127.0.0.1/32"), Allow: permit("127.0.0.1/32")}
	for _, c := range []struct {
		name    string
		config  fetch.Config
		host    string
		refused bool
	}{
		{"link-local", fetch.Config{}, "169.254.1.1", true},
		{"metadata", fetch.Config{}, "169.254.169.254", true},
		{"metadata as a number", fetch.Config{}, "100.100.100.200", true},
		{"metadata, Oracle", fetch.Config{}, "192.0.0.192", true},
		{"metadata, IPv6", fetch.Config{}, "[fd00:ec2::254]", true},
		{"unspecified", fetch.Config{}, "0.0.0.0", true},
		{"unspecified, IPv6", fetch.Config{}, "[::]", true},
		{"this network", fetch.Config{}, "0.0.0.1", true},
		{"multicast", fetch.Config{}, "224.0.0.1", true},
		{"multicast, IPv6", fetch.Config{}, "[ff02::1]", true},
		{"broadcast", fetch.Config{}, "255.255.255.255", true},
		{"link-local with a zone", fetch.Config{}, "[fe80::1%25lo]", true},
		{"mapped", fetch.Config{}, "[::ffff:169.254.169.254]", true},
		{"compatible", fetch.Config{}, "[::169.254.169.254]", true},
		{"translated", fetch.Config{}, "[::ffff:0:169.254.169.254]", true},
		{"NAT64", fetch.Config{}, "[64:ff9b::a9fe:a9fe]", true},
		{"NAT64 of local use", fetch.Config{}, "[64:ff9b:1::a9fe:a9fe]", true},
		{"6to4", fetch.Config{}, "[2002:a9fe:a9fe::1]", true},
		{"Teredo", fetch.Config{}, "[2001:0:102:304::5601:5601]", true},
		{"ISATAP", fetch.Config{}, "[fd00::5efe:a9fe:a9fe]", true},
		{"loopback", fetch.Config{}, "127.0.0.1", true},
		{"loopback, another", fetch.Config{}, "127.9.9.9", true},
		{"loopback by name", fetch.Config{}, "localhost", true},
		{"loopback, IPv6", fetch.Config{}, "[::1]", true},
		{"loopback, mapped", fetch.Config{}, "[::ffff:127.0.0.1]", true},
		{"loopback, mapped, in hexadecimal", fetch.Config{}, "[::ffff:7f00:1]", true},
		{"loopback, NAT64", fetch.Config{}, "[64:ff9b::7f00:1]", true},
		{"loopback, 6to4", fetch.Config{}, "[2002:7f00:1::]", true},
		{"allowed loopback", loopback, "127.0.0.1", false},
		{"allowed loopback by name", loopback, "localhost", false},
		{"::1 is no IPv4 address", loopback, "[::1]", false},
		{"allowed loopback opens no other", loopback, "[fe80::1%25lo]", true},
		{"allowed port", port, "127.0.0.1", false},
		{"another port", wrongPort, "127.0.0.1", true},
		{"allowed name", name, "LOCALHOST", false},
		{"the address of an allowed name", name, "127.0.0.1", true},
		{"an allowed name with another port", wrongName, "localhost", true},
		{"denied private network", private, "10.0.0.1", true},
		{"denied, 6to4", private, "[2002:a00:1::]", true},
		{"denied in mapped form", mapped, "127.0.0.1", true},
		{"a wide allow opens no default", wide, "169.254.169.254", true},
		{"a wide allow opens no loopback", wide, "127.0.0.1", true},
		{"only what is allowed", nothing, "127.0.0.1", false},
		{"all else", nothing, "192.0.2.1", true},
		{"allowed and denied alike", equal, "127.0.0.1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Nothing listens on port 1 of what isn't refused.
			c.config.Timeout = time.Second
			if _, err := get(t, newClient(t, c.config), "http://"+c.host+":1/"); err == nil || refused(err) != c.refused {
				t.Errorf("error %v; want refused: %v", err, c.refused)
			}
		})
	}
}

// A name is judged by the address that is connected to, not by an earlier
// answer for it.
func TestGuardAgainstRebinding(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	var mu sync.Mutex
	address := [4]byte{127, 0, 0, 1}
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer func() { _ = far.Close() }()
			mu.Lock()
			defer mu.Unlock()
			answerDNS(far, address)
		}()
		return near, nil
	}}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	client := newClient(t, fetch.Config{Resolver: resolver, Allow: permit("127.0.0.0/8")})
	url := "http://rebind.example.:" + port + "/"
	if status, err := get(t, client, url); err != nil || status != http.StatusOK {
		t.Fatalf("before: %d, %v", status, err)
	}
	client.Close() // so that the next request connects
	mu.Lock()
	address = [4]byte{169, 254, 169, 254}
	mu.Unlock()
	if _, err := get(t, client, url); err == nil || err.Error() != "connecting to 169.254.169.254 is not allowed" {
		t.Errorf("after: %v", err)
	}
}

// answerDNS answers one query over a stream: A records with an address, no others.
func answerDNS(conn net.Conn, address [4]byte) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5
	kind := binary.BigEndian.Uint16(query[end-4:])
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
	if kind == 1 {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, address[:]...)
	}
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}
