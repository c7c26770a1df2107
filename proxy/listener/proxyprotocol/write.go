package proxyprotocol

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Outgoing is what a header says that is written.
type Outgoing struct {
	// Source and Destination are the client's address and the one that it has
	// connected to; where Source is the zero AddrPort the client isn't known.
	Source, Destination netip.AddrPort
	// Local says that the connection is the sender's own, as for a health check.
	Local bool
	// What version 2 tells besides, as far as it is known. Secure says that the client
	// speaks TLS, TLS of which version, such as "TLSv1.3", and Certified that it has
	// shown a certificate which was verified.
	ALPN, Authority, UniqueID []byte
	Secure                    bool
	TLS                       string
	Certified                 bool
}

// Append appends a header of version 1 or 2.
func (o *Outgoing) Append(dst []byte, version int) []byte {
	if version == 1 {
		return o.appendV1(dst)
	}
	return o.appendV2(dst)
}

// addresses are those of a header, of one family: where one is of IPv6, so is the
// other. ok is false where there are none.
func (o *Outgoing) addresses() (source, destination netip.AddrPort, ok bool) {
	if o.Local || !o.Source.IsValid() {
		return netip.AddrPort{}, netip.AddrPort{}, false
	}
	from, to := o.Source.Addr().Unmap().WithZone(""), o.Destination.Addr().Unmap().WithZone("")
	if !to.IsValid() { // it has come by a Unix socket
		if to = netip.IPv4Unspecified(); from.Is6() {
			to = netip.IPv6Unspecified()
		}
	}
	if from.Is4() != to.Is4() {
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	return netip.AddrPortFrom(from, o.Source.Port()), netip.AddrPortFrom(to, o.Destination.Port()), true
}

func (o *Outgoing) appendV1(dst []byte) []byte {
	source, destination, ok := o.addresses()
	dst = append(dst, prefixV1...)
	if !ok { // there is no word for a connection of one's own
		return append(dst, "UNKNOWN\r\n"...)
	}
	family := "TCP6 "
	if source.Addr().Is4() {
		family = "TCP4 "
	}
	dst = append(dst, family...)
	dst = append(source.Addr().AppendTo(dst), ' ')
	dst = append(destination.Addr().AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(destination.Port()), 10), '\r', '\n')
}

// Types of TLVs that are written.
const (
	subVersion = Type(0x21)

	flagTLS         = 0x01
	flagCertificate = 0x02 | 0x04 // shown on this connection, or its session
)

func (o *Outgoing) appendV2(dst []byte) []byte {
	start := len(dst)
	command, family := byte(version2|commandProxy), byte(familyUnknown)
	if o.Local {
		command = version2 | commandLocal
	}
	source, destination, ok := o.addresses()
	switch {
	case !ok:
	case source.Addr().Is4():
		family = familyIPv4<<4 | stream
	default:
		family = familyIPv6<<4 | stream
	}
	dst = append(append(dst, signature...), command, family, 0, 0)
	if ok {
		dst = append(dst, source.Addr().AsSlice()...)
		dst = append(dst, destination.Addr().AsSlice()...)
		dst = binary.BigEndian.AppendUint16(dst, source.Port())
		dst = binary.BigEndian.AppendUint16(dst, destination.Port())
	}
	if !o.Local {
		dst = o.appendTLVs(dst)
	}
	binary.BigEndian.PutUint16(dst[start+len(signature)+2:], uint16(len(dst)-start-fixedV2)) //nolint:gosec // G115: maxTold bounds the parts
	return dst
}

// What is told of one thing at most, in bytes. The identifier of a connection may have
// no more by the specification.
const (
	maxTold     = 255
	maxUniqueID = 128
)

func (o *Outgoing) appendTLVs(dst []byte) []byte {
	dst = appendTLV(dst, ALPN, o.ALPN, maxTold)
	dst = appendTLV(dst, Authority, o.Authority, maxTold)
	dst = appendTLV(dst, UniqueID, o.UniqueID, maxUniqueID)
	if !o.Secure {
		return dst
	}
	flags, verify := byte(flagTLS), byte(1) // which is 0 only for a certificate that was verified
	if o.Certified {
		flags, verify = flags|flagCertificate, 0
	}
	size := secureHead
	if o.TLS != "" {
		size += tlvHead + len(o.TLS)
	}
	dst = append(dst, byte(secure), byte(size>>8), byte(size), flags, 0, 0, 0, verify)
	return appendTLV(dst, subVersion, []byte(o.TLS), maxTold)
}

// appendTLV leaves out what is empty, or longer than it may be.
func appendTLV(dst []byte, kind Type, value []byte, most int) []byte {
	if len(value) == 0 || len(value) > most {
		return dst
	}
	dst = append(dst, byte(kind), byte(len(value)>>8), byte(len(value))) //nolint:gosec // G115: of 16 bits
	return append(dst, value...)
}
