package proxyprotocol

import (
	"encoding/binary"
	"hash/crc32"
)

// TLVs are what version 2 tells besides addresses: type, length and value, one
// after the other, as they came.
type TLVs []byte

// Type is that of a TLV.
type Type byte

// The types that the gateway knows.
const (
	ALPN      Type = 0x01 // the protocol that was agreed upon with the client
	Authority Type = 0x02 // the host that the client has asked for (SNI)
	checksum  Type = 0x03
	UniqueID  Type = 0x05 // of the connection, up to 128 bytes of any kind
	secure    Type = 0x20
)

// tlvHead is the size of a type and a length.
const tlvHead = 3

// next cuts off the first TLV. ok is false at the end, and where it is malformed.
func (t TLVs) next() (kind Type, value []byte, rest TLVs, ok bool) {
	if len(t) < tlvHead {
		return 0, nil, nil, false
	}
	end := tlvHead + int(binary.BigEndian.Uint16(t[1:]))
	if end > len(t) {
		return 0, nil, nil, false
	}
	return Type(t[0]), t[tlvHead:end], t[end:], true
}

// Find returns the value of the first TLV of a type; nil where there is none.
func (t TLVs) Find(wanted Type) []byte {
	for kind, value, rest, ok := t.next(); ok; kind, value, rest, ok = rest.next() {
		if kind == wanted {
			return value
		}
	}
	return nil
}

// secureHead is the size of what comes before the TLVs within the one about TLS.
const secureHead = 5

// TLS is what the sender says of the TLS connection that it has ended.
type TLS struct {
	// Version is "TLSv1.3", say; "" where it isn't told.
	Version string
}

// TLS returns what is said of the client's connection to the sender. ok is
// false if that wasn't TLS, or nothing is said of it.
func (t TLVs) TLS() (said TLS, ok bool) {
	const overTLS, version = 0x01, Type(0x21)
	value := t.Find(secure)
	if len(value) < secureHead || value[0]&overTLS == 0 {
		return TLS{}, false
	}
	return TLS{Version: string(TLVs(value[secureHead:]).Find(version))}, true
}

// check reports TLVs that aren't well formed, and a checksum that isn't that of
// the whole header.
func (t TLVs) check(header []byte) error {
	at := len(header) - len(t) // of the TLV's value
	for rest := t; len(rest) > 0; {
		kind, value, after, ok := rest.next()
		if !ok {
			return errTLV
		}
		at += tlvHead
		switch kind {
		case checksum:
			if len(value) != crc32.Size {
				return errTLV
			}
			if binary.BigEndian.Uint32(value) != sum(header, at) {
				return errChecksum
			}
		case secure:
			if len(value) < secureHead || !TLVs(value[secureHead:]).formed() {
				return errTLV
			}
		}
		at += len(value)
		rest = after
	}
	return nil
}

func (t TLVs) formed() bool {
	for len(t) > 0 {
		_, _, rest, ok := t.next()
		if !ok {
			return false
		}
		t = rest
	}
	return true
}

// sum is the header's CRC32c, with zeros for the checksum at that offset.
func sum(header []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var zeros [crc32.Size]byte
	crc := crc32.Update(0, table, header[:at])
	crc = crc32.Update(crc, table, zeros[:])
	return crc32.Update(crc, table, header[at+crc32.Size:])
}
