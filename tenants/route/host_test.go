package route_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

func TestCanonicalHost(t *testing.T) {
	long := strings.Repeat("abcd.", 51)[:255-1] + "e"
	for _, c := range []struct {
		field, want string
		err         error
	}{
		{"example.com", "example.com", nil},
		{"Example.COM", "example.com", nil},
		{"example.com.", "example.com", nil},
		{"example.com:80", "example.com", nil},
		{"example.com:", "example.com", nil},
		{"EXAMPLE.com.:65535", "example.com", nil},
		{"example.com:00080", "example.com", nil},
		{"localhost:0", "localhost", nil},
		{"a_b-c.1", "a_b-c.1", nil},
		{"xn--mnchen-3ya.de", "xn--mnchen-3ya.de", nil},
		{"127.0.0.1:8080", "127.0.0.1", nil},
		{"[::1]", "[::1]", nil},
		{"[::1]:8080", "[::1]", nil},
		{"[::1]:", "[::1]", nil},
		{"[0:0:0:0:0:0:0:1]", "[::1]", nil},
		{"[2001:DB8::0:1]", "[2001:db8::1]", nil},
		{"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", nil},
		{long, long, nil},
		{long + ".:1", long, nil},
		{"", "", route.RefusedHostEmpty},
		{":80", "", route.RefusedHostEmpty},
		{long + "x", "", route.RefusedHostLength},
		{".", "", route.RefusedHostLabel},
		{"..", "", route.RefusedHostLabel},
		{".example.com", "", route.RefusedHostLabel},
		{"a..b", "", route.RefusedHostLabel},
		{"a..", "", route.RefusedHostLabel},
		{"*.example.com", "", route.RefusedHostByte},
		{"a b", "", route.RefusedHostByte},
		{"a/b", "", route.RefusedHostByte},
		{"a,b", "", route.RefusedHostByte},
		{"a%2eb", "", route.RefusedHostByte},
		{"user@example.com", "", route.RefusedHostByte},
		{"a\x00", "", route.RefusedHostByte},
		{"caf\xc3\xa9.fr", "", route.RefusedHostByte},
		{" example.com", "", route.RefusedHostByte},
		{"example.com:65536", "", route.RefusedHostPort},
		{"example.com:100000", "", route.RefusedHostPort},
		{"example.com:x", "", route.RefusedHostPort},
		{"example.com:-1", "", route.RefusedHostPort},
		{"example.com:80:80", "", route.RefusedHostPort},
		{"user:1@example.com", "", route.RefusedHostPort},
		{"::1", "", route.RefusedHostPort},
		{"[::1", "", route.RefusedHostIPv6},
		{"[]", "", route.RefusedHostIPv6},
		{"[1.2.3.4]", "", route.RefusedHostIPv6},
		{"[fe80::1%25eth0]", "", route.RefusedHostIPv6},
		{"[fe80::1%eth0]", "", route.RefusedHostIPv6},
		{"[v1.x]", "", route.RefusedHostIPv6},
		{"[:::]", "", route.RefusedHostIPv6},
		{"[::1]x", "", route.RefusedHostPort},
		{"[::1]:99999", "", route.RefusedHostPort},
		{"x[::1]", "", route.RefusedHostPort},
	} {
		host, err := route.CanonicalHost(nil, []byte(c.field))
		if string(host) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q became %q, %v, expected %q, %v", c.field, host, err, c.want, c.err)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{"Example.com.:80", "[2001:DB8::1]:1", "a..b", "[::ffff:1.2.3.4]", "user@host"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		host, err := route.CanonicalHost(nil, field)
		if err != nil {
			if host != nil {
				t.Fatalf("%q is refused and yet %q", field, host)
			}
			return
		}
		if len(host) == 0 || len(host) > 255 || !bytes.Equal(host, bytes.ToLower(host)) || bytes.ContainsAny(host, " *@/\\%,\t\r\n") {
			t.Fatalf("%q became %q, which is no canonical host", field, host)
		}
		again, err := route.CanonicalHost(nil, host)
		if err != nil || !bytes.Equal(again, host) {
			t.Fatalf("%q became %q and then %q, %v", field, host, again, err)
		}
		if other, err := route.CanonicalHost(nil, append(host, ":443"...)); err != nil || !bytes.Equal(other, again) {
			t.Fatalf("%q differs with a port: %q, %v", again, other, err)
		}
	})
}
