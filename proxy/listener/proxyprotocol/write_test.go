package proxyprotocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
)

// TestAppend: what is written is read by another implementation, and by ours, as what it
// was meant to say.
func TestAppend(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort
	for name, test := range map[string]struct {
		out          proxyprotocol.Outgoing
		v1           string
		source, dest string // what the other reads; "" is nothing
	}{
		"IPv4":        {proxyprotocol.Outgoing{Source: at("192.0.2.1:4000"), Destination: at("198.51.100.2:443")}, "PROXY TCP4 192.0.2.1 198.51.100.2 4000 443\r\n", "192.0.2.1:4000", "198.51.100.2:443"},
		"IPv6":        {proxyprotocol.Outgoing{Source: at("[2001:db8::1]:4000"), Destination: at("[2001:db8::2]:443")}, "PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\n", "[2001:db8::1]:4000", "[2001:db8::2]:443"},
		"both":        {proxyprotocol.Outgoing{Source: at("[2001:db8::1]:4000"), Destination: at("198.51.100.2:443")}, "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.2 4000 443\r\n", "[2001:db8::1]:4000", "198.51.100.2:443"},
		"Unix socket": {proxyprotocol.Outgoing{Source: at("192.0.2.1:0")}, "PROXY TCP4 192.0.2.1 0.0.0.0 0 0\r\n", "192.0.2.1:0", "0.0.0.0:0"},
		"unknown":     {proxyprotocol.Outgoing{Destination: at("198.51.100.2:443")}, "PROXY UNKNOWN\r\n", "", ""},
		"own":         {proxyprotocol.Outgoing{Local: true, Source: at("192.0.2.1:4000")}, "PROXY UNKNOWN\r\n", "", ""},
		"zone":        {proxyprotocol.Outgoing{Source: at("[fe80::1%eth0]:1"), Destination: at("[fe80::2%eth0]:2")}, "PROXY TCP6 fe80::1 fe80::2 1 2\r\n", "[fe80::1]:1", "[fe80::2]:2"},
	} {
		for version := 1; version <= 2; version++ {
			written := test.out.Append([]byte("x"), version)[1:]
			if version == 1 && string(written) != test.v1 {
				t.Errorf("%s: %q, want %q", name, written, test.v1)
			}
			theirs, err := oracle.Read(bufio.NewReader(bytes.NewReader(written)))
			if name == "unknown" && version == 2 && errors.Is(err, oracle.ErrUnsupportedAddressFamilyAndProtocol) {
				theirs, err = &oracle.Header{}, nil // the specification leaves it to receivers whether they take it
			}
			if err != nil {
				t.Errorf("%s, version %d: %v", name, version, err)
				continue
			}
			ours, size, err := proxyprotocol.Parse(written)
			if err != nil || size != len(written) || ours.Local != (test.out.Local && version == 2) {
				t.Errorf("%s, version %d: %+v, %d, %v", name, version, ours, size, err)
			}
			var source, dest string
			if from, ok := theirs.SourceAddr.(*net.TCPAddr); ok && theirs.Command == oracle.PROXY && theirs.TransportProtocol.IsStream() {
				source, dest = unmapped(from), unmapped(theirs.DestinationAddr.(*net.TCPAddr))
				if ours.Source.String() != source || ours.Destination.String() != dest {
					t.Errorf("%s, version %d: ours reads %v, %v", name, version, ours.Source, ours.Destination)
				}
			}
			if source != test.source || dest != test.dest {
				t.Errorf("%s, version %d: %s to %s, want %s to %s", name, version, source, dest, test.source, test.dest)
			}
		}
	}
}

func unmapped(at *net.TCPAddr) string {
	whole := at.AddrPort()
	return netip.AddrPortFrom(whole.Addr().Unmap(), whole.Port()).String()
}

// TestAppendTLVs writes all that can be told, and leaves out what is too long.
func TestAppendTLVs(t *testing.T) {
	t.Parallel()
	out := proxyprotocol.Outgoing{
		Source: netip.MustParseAddrPort("192.0.2.1:4000"), Destination: netip.MustParseAddrPort("198.51.100.2:443"),
		ALPN: []byte("http/1.1"), Authority: []byte("shop.example.com"), UniqueID: []byte("id-7"), Secure: true, TLS: "TLSv1.3",
	}
	for _, certified := range []bool{false, true} {
		out.Certified = certified
		theirs, err := oracle.Read(bufio.NewReader(bytes.NewReader(out.Append(nil, 2))))
		if err != nil {
			t.Fatal(err)
		}
		list, err := theirs.TLVs()
		if err != nil {
			t.Fatal(err)
		}
		said := map[oracle.PP2Type]string{}
		for _, one := range list {
			said[one.Type] = string(one.Value)
		}
		if said[oracle.PP2_TYPE_ALPN] != "http/1.1" || said[oracle.PP2_TYPE_AUTHORITY] != "shop.example.com" || said[oracle.PP2_TYPE_UNIQUE_ID] != "id-7" {
			t.Errorf("%q", said)
		}
		secure, found := tlvparse.FindSSL(list)
		version, _ := secure.SSLVersion()
		if !found || !secure.ClientSSL() || secure.Verified() != certified || secure.ClientCertConn() != certified || version != "TLSv1.3" {
			t.Errorf("certified %t: %+v, %q", certified, secure, version)
		}
	}
	out.Authority, out.UniqueID = []byte(strings.Repeat("a", 256)), []byte(strings.Repeat("i", 129))
	header, _, err := proxyprotocol.Parse(out.Append(nil, 2))
	if err != nil || header.TLVs.Find(proxyprotocol.Authority) != nil || header.TLVs.Find(proxyprotocol.UniqueID) != nil || string(header.TLVs.Find(proxyprotocol.ALPN)) != "http/1.1" {
		t.Errorf("%+v, %v", header, err)
	}
}

// FuzzAppend: what ours writes of any header, ours reads as the same.
func FuzzAppend(f *testing.F) {
	for _, version := range []int{1, 2} {
		out := proxyprotocol.Outgoing{Source: netip.MustParseAddrPort("192.0.2.1:4000"), Destination: netip.MustParseAddrPort("[::1]:443"), ALPN: []byte("h2")}
		f.Add(out.Append(nil, version))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		header, _, err := proxyprotocol.Parse(data)
		if err != nil {
			return
		}
		out := proxyprotocol.Outgoing{Source: header.Source, Destination: header.Destination, Local: header.Local}
		for version := 1; version <= 2; version++ {
			again, _, err := proxyprotocol.Parse(out.Append(nil, version))
			if err != nil || again.Source != header.Source || header.Source.IsValid() && again.Destination != header.Destination {
				t.Fatalf("%+v became %+v: %v", header, again, err)
			}
		}
	})
}
