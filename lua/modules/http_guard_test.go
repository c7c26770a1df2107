package modules_test

import (
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

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestHTTPGuard(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	loopback := modules.ClientConfig{Allow: permit("127.0.0.0/8", "::1/128")}
	only := func(p modules.Permission) modules.ClientConfig {
		return modules.ClientConfig{Allow: []modules.Permission{p}}
	}
	port := only(modules.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: 1})
	wrongPort := only(modules.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: 2})
	name := only(modules.Permission{Name: "localhost", Port: 1})
	wrongName := only(modules.Permission{Name: "localhost", Port: 2})
	private := modules.ClientConfig{Deny: prefixes("10.0.0.0/8")}
	mapped := modules.ClientConfig{Deny: prefixes("::ffff:127.0.0.0/104")}
	wide := modules.ClientConfig{Allow: permit("0.0.0.0/0", "::/0")}
	nothing := modules.ClientConfig{Deny: prefixes("0.0.0.0/0", "::/0"), Allow: permit("127.0.0.0/8")}
	equal := modules.ClientConfig{Deny: prefixes("127.0.0.1/32"), Allow: permit("127.0.0.1/32")}
	for _, c := range []struct {
		name    string
		config  modules.ClientConfig
		host    string
		refused bool
	}{
		{"link-local", modules.ClientConfig{}, "169.254.1.1", true},
		{"metadata", modules.ClientConfig{}, "169.254.169.254", true},
		{"metadata as a number", modules.ClientConfig{}, "100.100.100.200", true},
		{"metadata, Oracle", modules.ClientConfig{}, "192.0.0.192", true},
		{"metadata, IPv6", modules.ClientConfig{}, "[fd00:ec2::254]", true},
		{"unspecified", modules.ClientConfig{}, "0.0.0.0", true},
		{"unspecified, IPv6", modules.ClientConfig{}, "[::]", true},
		{"this network", modules.ClientConfig{}, "0.0.0.1", true},
		{"multicast", modules.ClientConfig{}, "224.0.0.1", true},
		{"multicast, IPv6", modules.ClientConfig{}, "[ff02::1]", true},
		{"broadcast", modules.ClientConfig{}, "255.255.255.255", true},
		{"link-local with a zone", modules.ClientConfig{}, "[fe80::1%25lo]", true},
		{"mapped", modules.ClientConfig{}, "[::ffff:169.254.169.254]", true},
		{"compatible", modules.ClientConfig{}, "[::169.254.169.254]", true},
		{"translated", modules.ClientConfig{}, "[::ffff:0:169.254.169.254]", true},
		{"NAT64", modules.ClientConfig{}, "[64:ff9b::a9fe:a9fe]", true},
		{"NAT64 of local use", modules.ClientConfig{}, "[64:ff9b:1::a9fe:a9fe]", true},
		{"6to4", modules.ClientConfig{}, "[2002:a9fe:a9fe::1]", true},
		{"Teredo", modules.ClientConfig{}, "[2001:0:102:304::5601:5601]", true},
		{"ISATAP", modules.ClientConfig{}, "[fd00::5efe:a9fe:a9fe]", true},
		{"loopback", modules.ClientConfig{}, "127.0.0.1", true},
		{"loopback, another", modules.ClientConfig{}, "127.9.9.9", true},
		{"loopback by name", modules.ClientConfig{}, "localhost", true},
		{"loopback, IPv6", modules.ClientConfig{}, "[::1]", true},
		{"loopback, mapped", modules.ClientConfig{}, "[::ffff:127.0.0.1]", true},
		{"loopback, mapped, in hexadecimal", modules.ClientConfig{}, "[::ffff:7f00:1]", true},
		{"loopback, NAT64", modules.ClientConfig{}, "[64:ff9b::7f00:1]", true},
		{"loopback, 6to4", modules.ClientConfig{}, "[2002:7f00:1::]", true},
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
			L := netVM(t, guardedTenant(t, c.config), vmtest.Limits(), map[string]string{"u": "http://" + c.host + ":1/"})
			got, err := netEval(L, `local r, m = http.get(u, {timeout = 1}) return r, m`)
			if err != nil || strings.Contains(got, "is not allowed") != c.refused {
				t.Errorf("got %q, %v; want refused: %v", got, err, c.refused)
			}
		})
	}
}

// A name is judged by the address that is connected to, not by an earlier
// answer for it.
func TestHTTPGuardAgainstRebinding(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
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
	tenant := netTenant(t, modules.ClientConfig{Resolver: resolver})
	L := netVM(t, tenant, vmtest.Limits(), map[string]string{"u": "http://rebind.example.:" + port + "/"})
	if got, err := netEval(L, `return http.get(u).status`); err != nil || got != "200" {
		t.Fatalf("before: %q, %v", got, err)
	}
	tenant.HTTP.Close() // so that the next request connects
	mu.Lock()
	address = [4]byte{169, 254, 169, 254}
	mu.Unlock()
	if got, err := netEval(L, `return http.get(u)`); err != nil || got != "nil|connecting to 169.254.169.254 is not allowed" {
		t.Errorf("after: %q, %v", got, err)
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
