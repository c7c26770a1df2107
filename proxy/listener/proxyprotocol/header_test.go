package proxyprotocol_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "github.com/pires/go-proxyproto"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2.
func v2(command, family byte, rest string) string {
	head := []byte(signature + string([]byte{command, family}))
	return string(binary.BigEndian.AppendUint16(head, uint16(len(rest)))) + rest
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// checked is a header whose last TLV is its checksum.
func checked(header string) string {
	sum := crc32.Checksum([]byte(header), crc32.MakeTable(crc32.Castagnoli))
	return header[:len(header)-4] + string(binary.BigEndian.AppendUint32(nil, sum))
}

const (
	ipv4 = "\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb" // 192.0.2.7:40000 to 198.51.100.1:443
	ipv6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x9c\x40\x01\xbb"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x01\x9c\x40\x01\xbb"
)

var good = []struct {
	name, header, source string
	local                bool
}{
	{"v1 IPv4", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n", "192.0.2.7:40000", false},
	{"v1 IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n", "[2001:db8::1]:40000", false},
	{"v1 mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 443\r\n", "192.0.2.7:40000", false},
	{"v1 ports", "PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n", "192.0.2.7:0", false},
	{"v1 unknown", "PROXY UNKNOWN\r\n", "", false},
	{"v1 unknown with a rest", "PROXY UNKNOWN ffff:f...f:ffff anything 65535 65535\r\n", "", false},
	{"v2 IPv4", v2(0x21, 0x11, ipv4), "192.0.2.7:40000", false},
	{"v2 IPv6", v2(0x21, 0x21, ipv6), "[2001:db8::1]:40000", false},
	{"v2 mapped", v2(0x21, 0x21, mapped), "192.0.2.7:40000", false},
	{"v2 unspecified", v2(0x21, 0x00, ""), "", false},
	{"v2 unspecified with a rest", v2(0x21, 0x00, tlv(4, "xx")), "", false},
	{"v2 unix", v2(0x21, 0x31, strings.Repeat("/", 216)), "", false},
	{"v2 datagrams", v2(0x21, 0x12, ipv4), "", false},
	{"v2 local", v2(0x20, 0x00, ""), "", true},
	{"v2 local says an address", v2(0x20, 0x11, ipv4), "", true},
	{"v2 local says anything", v2(0x20, 0x11, "xyz"), "", true},
	{"v2 TLVs", v2(0x21, 0x11, ipv4+tlv(1, "h2")+tlv(2, "shop.example.com")+tlv(4, "")+tlv(0xe0, "x")), "192.0.2.7:40000", false},
	{"v2 checksum", checked(v2(0x21, 0x11, ipv4+tlv(1, "h2")+tlv(3, "\x00\x00\x00\x00"))), "192.0.2.7:40000", false},
	{"v2 as large as may be", v2(0x21, 0x11, ipv4+tlv(4, strings.Repeat("x", proxyprotocol.MaxSize-16-12-3))), "192.0.2.7:40000", false},
}

var bad = []string{
	"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00", "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n",
	"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
	"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
	"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 -2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
	"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
	"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY \r\n", "PROXY UNKNOWNS\r\n",
	"PROXY UNKNOWN " + strings.Repeat("x", 200),
	v2(0x11, 0x11, ipv4), v2(0x22, 0x11, ipv4), v2(0x21, 0x41, ipv4), v2(0x21, 0x13, ipv4),
	v2(0x21, 0x11, ipv4[:11]), v2(0x21, 0x21, ipv6[:35]), v2(0x21, 0x31, strings.Repeat("/", 215)),
	v2(0x21, 0x11, ipv4+"\x01"), v2(0x21, 0x11, ipv4+"\x01\x00\x02h"), v2(0x21, 0x11, ipv4+tlv(1, "h2")+"\x00\x00"),
	v2(0x21, 0x11, ipv4+tlv(3, "\x00\x00\x00\x00")), v2(0x21, 0x11, ipv4+tlv(3, "\x00")),
	v2(0x21, 0x11, ipv4+tlv(0x20, "\x01")), v2(0x21, 0x11, ipv4+tlv(0x20, "\x01\x00\x00\x00\x00\x21\x00\x09x")),
	v2(0x21, 0x11, ipv4+tlv(4, strings.Repeat("x", proxyprotocol.MaxSize))), v2(0x20, 0x00, strings.Repeat("x", 0xffff)),
}

// TestParse gives each header byte by byte: it must be asked for more until it
// is there, never beyond it, and what comes after it must not matter.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range good {
		for _, after := range []string{"", "GET / HTTP/1.1\r\n"} {
			whole := []byte(test.header + after)
			for have := 0; have < len(test.header); {
				_, size, err := proxyprotocol.Parse(whole[:have])
				if !errors.Is(err, proxyprotocol.ErrIncomplete) || size <= have || size > len(test.header) {
					t.Fatalf("%s: with %d of %d bytes: needs %d, %v", test.name, have, len(test.header), size, err)
				}
				have++
			}
			header, size, err := proxyprotocol.Parse(whole)
			source := ""
			if header.Source.IsValid() {
				source = header.Source.String()
			}
			if err != nil || size != len(test.header) || source != test.source || header.Local != test.local {
				t.Errorf("%s: source %q, local %v, %d bytes, %v", test.name, source, header.Local, size, err)
			}
		}
	}
	for _, header := range bad {
		if h, size, err := proxyprotocol.Parse([]byte(header)); err == nil || errors.Is(err, proxyprotocol.ErrIncomplete) {
			t.Errorf("%q: %+v, %d, %v", header[:min(len(header), 60)], h, size, err)
		}
	}
}

func TestTLVs(t *testing.T) {
	t.Parallel()
	over := tlv(0x20, "\x01\x00\x00\x00\x00"+tlv(0x23, "ECDHE")+tlv(0x21, "TLSv1.3"))
	header, _, err := proxyprotocol.Parse([]byte(v2(0x21, 0x11, ipv4+tlv(1, "h2")+tlv(2, "a.example")+tlv(5, "id")+over)))
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[proxyprotocol.Type]string{proxyprotocol.ALPN: "h2", proxyprotocol.Authority: "a.example", proxyprotocol.UniqueID: "id", 0xee: ""} {
		if got := header.TLVs.Find(kind); string(got) != want {
			t.Errorf("TLV %#x is %q, want %q", kind, got, want)
		}
	}
	if secured, ok := header.TLVs.TLS(); !ok || secured.Version != "TLSv1.3" {
		t.Errorf("TLS: %+v, %v", secured, ok)
	}
	for name, said := range map[string]string{"nothing": "", "no TLS": tlv(0x20, "\x00\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3")), "a certificate without TLS": tlv(0x20, "\x06\x00\x00\x00\x00")} {
		header, _, err := proxyprotocol.Parse([]byte(v2(0x21, 0x11, ipv4+said)))
		if _, ok := header.TLVs.TLS(); ok || err != nil {
			t.Errorf("%s is taken for TLS, %v", name, err)
		}
	}
}

// FuzzParse holds the parser to another one's: what it accepts, that accepts
// too, with the same source and as many bytes.
func FuzzParse(f *testing.F) {
	for _, test := range good {
		f.Add([]byte(test.header))
		f.Add([]byte(test.header + "GET / HTTP/1.1\r\n"))
	}
	for _, header := range bad {
		f.Add([]byte(header))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		header, size, err := proxyprotocol.Parse(data)
		if errors.Is(err, proxyprotocol.ErrIncomplete) {
			if size <= len(data) || size > proxyprotocol.MaxSize {
				t.Fatalf("with %d bytes, %d are asked for", len(data), size)
			}
			return
		}
		in := bufio.NewReaderSize(bytes.NewReader(data), 1<<17)
		theirs, wrong := oracle.Read(in)
		if err != nil {
			if wrong == nil && !mayDiffer(theirs) {
				t.Fatalf("only the other accepts: %v, %v", err, theirs)
			}
			return
		}
		if size < 1 || size > len(data) {
			t.Fatalf("%d of %d bytes", size, len(data))
		}
		if wrong != nil {
			if header.Source.IsValid() && size <= int(oracle.MaxV2HeaderSize) {
				t.Fatalf("only ours accepts %v: %v", header.Source, wrong)
			}
			return // it knows fewer ways of saying nothing
		}
		if left := in.Buffered(); left != len(data)-size {
			t.Fatalf("ours takes %d bytes, the other %d", size, len(data)-left)
		}
		if source, ok := theirs.SourceAddr.(*net.TCPAddr); ok && !header.Local && theirs.Command == oracle.PROXY {
			if want := source.AddrPort(); netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) != header.Source {
				t.Fatalf("source %v, the other says %v", header.Source, want)
			}
		} else if header.Source.IsValid() {
			t.Fatalf("source %v, the other says none", header.Source)
		}
		again, size2, err := proxyprotocol.Parse(data[:size])
		if err != nil || size2 != size || again.Source != header.Source {
			t.Fatalf("without what comes after it: %v, %d, %v", again, size2, err)
		}
	})
}

// mayDiffer says where ours refuses more than the other: what the specification
// forbids or leaves to receivers.
func mayDiffer(theirs *oracle.Header) bool {
	if theirs == nil || theirs.Version == 1 {
		return true // spaces, zeros before ports, LF alone
	}
	list, err := theirs.TLVs()
	if err != nil {
		return true // which it looks at only when asked
	}
	size := 16
	for _, one := range list {
		if one.Type == oracle.PP2_TYPE_CRC32C || one.Type == oracle.PP2_TYPE_SSL {
			return true
		}
		size += 3 + len(one.Value)
	}
	return size > proxyprotocol.MaxSize-2*108 || theirs.Command == oracle.LOCAL
}
