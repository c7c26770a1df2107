// Package proxyprotocol reads and writes the header of the PROXY protocol, versions 1 and
// 2, by which a load balancer says on whose behalf it connects (the
// specification is HAProxy's doc/proxy-protocol.txt). It reads bytes, not
// connections: who may send a header, and for how long, is the listener's.
//
//	header, size, err := proxyprotocol.Parse(arrived)
//	if err == proxyprotocol.ErrIncomplete { … read until there are size bytes, parse again }
package proxyprotocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
)

// Header is what a header says. What it refers to in the bytes that it was read
// from stays valid as long as they do.
type Header struct {
	// Source is the client's address, IPv4 in IPv6 as IPv4; the zero AddrPort where
	// the sender doesn't know it, or it is a Unix socket's: then nothing is known of
	// the client.
	Source netip.AddrPort
	// Destination is where the client has connected to, where Source is known.
	Destination netip.AddrPort
	// Local says that the sender connects on its own behalf, for a health check.
	Local bool
	// TLVs is what else version 2 has told.
	TLVs TLVs
}

// MaxSize bounds a header, in bytes. Version 2 allows 64 KiB, of which senders
// use some hundreds, or some thousands with a client's certificate.
const MaxSize = 8 << 10

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixedV2   = len(signature) + 4 // command, family, length
	prefixV1  = "PROXY "
	maxV1     = 107
	leastSize = len(prefixV1 + "UNKNOWN\r\n")
)

// The errors of Parse.
var (
	// ErrIncomplete says that more bytes are needed.
	ErrIncomplete = errors.New("the header of the PROXY protocol is not complete")
	errNone       = errors.New("it doesn't begin with a header of the PROXY protocol")
	errLine       = errors.New("the PROXY line is malformed")
	errTooLarge   = errors.New("the header of the PROXY protocol is larger than " + strconv.Itoa(MaxSize) + " bytes")
	errVersion    = errors.New("the PROXY header has an unknown version, command or address family")
	errAddresses  = errors.New("the PROXY header is too short for its addresses")
	errTLV        = errors.New("a TLV of the PROXY header is malformed")
	errChecksum   = errors.New("the PROXY header's checksum is wrong")
)

// Parse reads the header with which data begins. size is how many bytes it
// has; with ErrIncomplete, how many are needed at least, which is more than data
// has and not beyond the header. Any other error is final.
func Parse(data []byte) (h Header, size int, err error) {
	switch {
	case len(data) == 0:
		return Header{}, leastSize, ErrIncomplete
	case hasPrefix(data, signature):
		return parseV2(data)
	case hasPrefix(data, prefixV1):
		return parseV1(data)
	}
	return Header{}, 0, errNone
}

// MayBegin reports whether data, which may be as little as one byte, could be the
// beginning of a header.
func MayBegin(data []byte) bool {
	return len(data) > 0 && (hasPrefix(data, signature) || hasPrefix(data, prefixV1))
}

// Begins reports whether data, which was to be a request, begins with a header; an
// empty line may have been taken off it.
func Begins(data []byte) bool {
	return bytes.HasPrefix(data, []byte(prefixV1+"TCP")) || bytes.HasPrefix(data, []byte(prefixV1+"UNKNOWN")) ||
		bytes.HasPrefix(data, []byte(signature)) || bytes.HasPrefix(data, []byte(signature[2:]))
}

// hasPrefix reports whether data begins with prefix, or may once there is more
// of it.
func hasPrefix(data []byte, prefix string) bool {
	n := min(len(data), len(prefix))
	return string(data[:n]) == prefix[:n]
}

// parseV1 reads "PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n".
func parseV1(data []byte) (h Header, size int, err error) {
	line := data[:min(len(data), maxV1)]
	end := bytes.IndexByte(line, '\n')
	switch {
	case end < 0 && len(line) == maxV1:
		return Header{}, 0, errLine
	case end < 0:
		return Header{}, max(len(data)+1, leastSize), ErrIncomplete
	case end == 0 || line[end-1] != '\r':
		return Header{}, 0, errLine
	}
	size = end + 1
	line = line[len(prefixV1) : end-1]
	if family, _, _ := bytes.Cut(line, space); string(family) == "UNKNOWN" { // the rest of the line is to be ignored
		return Header{}, size, nil
	}
	h.Source, h.Destination, err = parseLine(line)
	return h, size, err
}

var space = []byte{' '}

// parseLine reads family, addresses and ports.
func parseLine(line []byte) (source, destination netip.AddrPort, err error) {
	var parts [5][]byte
	for i := range parts {
		var more bool
		parts[i], line, more = bytes.Cut(line, space)
		if more != (i < len(parts)-1) {
			return netip.AddrPort{}, netip.AddrPort{}, errLine
		}
	}
	v6 := string(parts[0]) == "TCP6"
	if !v6 && string(parts[0]) != "TCP4" {
		return netip.AddrPort{}, netip.AddrPort{}, errLine
	}
	var addresses [2]netip.Addr
	for i := range addresses {
		addr, err := netip.ParseAddr(string(parts[1+i]))
		if err != nil || addr.Is6() != v6 || addr.Zone() != "" {
			return netip.AddrPort{}, netip.AddrPort{}, errLine
		}
		addresses[i] = addr.Unmap()
	}
	from, ok := parsePort(parts[3])
	to, also := parsePort(parts[4])
	if !ok || !also {
		return netip.AddrPort{}, netip.AddrPort{}, errLine
	}
	return netip.AddrPortFrom(addresses[0], from), netip.AddrPortFrom(addresses[1], to), nil
}

// parsePort reads a decimal number without zeros before it.
func parsePort(text []byte) (uint16, bool) {
	if len(text) == 0 || len(text) > 5 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return uint16(n), n <= 0xffff
}

// The bytes after the signature.
const (
	version2     = 0x20
	commandLocal = 0x0
	commandProxy = 0x1

	familyUnknown = 0x0
	familyIPv4    = 0x1
	familyIPv6    = 0x2
	familyUnix    = 0x3
	stream        = 0x1
	datagram      = 0x2
)

// sizes are those of two addresses with their ports, by family.
var sizes = [...]int{familyUnknown: 0, familyIPv4: 2*4 + 4, familyIPv6: 2*16 + 4, familyUnix: 2 * 108}

func parseV2(data []byte) (h Header, size int, err error) {
	if len(data) < fixedV2 {
		return Header{}, fixedV2, ErrIncomplete
	}
	command, family, protocol := data[12]&0xf, data[13]>>4, data[13]&0xf
	size = fixedV2 + int(binary.BigEndian.Uint16(data[14:]))
	switch {
	case data[12]&0xf0 != version2 || command > commandProxy || int(family) >= len(sizes) || protocol > datagram:
		return Header{}, 0, errVersion
	case size > MaxSize:
		return Header{}, 0, errTooLarge
	case command == commandProxy && size-fixedV2 < sizes[family]:
		return Header{}, 0, errAddresses
	case len(data) < size:
		return Header{}, size, ErrIncomplete
	case command == commandLocal: // whatever else it says is to be ignored
		return Header{Local: true}, size, nil
	}
	rest := data[fixedV2:size]
	if protocol == stream { // datagrams don't come over a stream: that client isn't this one
		switch family {
		case familyIPv4:
			h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest)), binary.BigEndian.Uint16(rest[8:]))
			h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest[4:])), binary.BigEndian.Uint16(rest[10:]))
		case familyIPv6:
			h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(rest)).Unmap(), binary.BigEndian.Uint16(rest[32:]))
			h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(rest[16:])).Unmap(), binary.BigEndian.Uint16(rest[34:]))
		}
	}
	h.TLVs = TLVs(rest[sizes[family]:])
	return h, size, h.TLVs.check(data[:size])
}
