package http3

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Decoder decodes field sections that refer to the static table alone (RFC 9204 §4.5),
// which peers are told to make: the capacity of the dynamic one is 0. Its zero value is
// ready; it isn't safe for concurrent use.
type Decoder struct{ text http2.Text }

// Decode decodes a whole section. It is false of one that can't be decoded, after which
// the connection ends.
func (d *Decoder) Decode(section []byte, into *http2.Block) bool {
	inserted, section, ok := http2.Integer(section, 8)
	if !ok || inserted != 0 || len(section) == 0 || section[0]&0x80 != 0 {
		return false
	}
	if _, section, ok = http2.Integer(section, 7); !ok { // the base of references that there can't be
		return false
	}
	for len(section) > 0 && ok {
		switch first := section[0]; {
		case first&0xc0 == 0xc0:
			section, ok = indexed(section, into)
		case first&0xd0 == 0x50:
			section, ok = d.named(section, into)
		case first&0xe0 == 0x20:
			section, ok = d.literal(section, into)
		default: // it refers to the dynamic table
			return false
		}
	}
	return ok
}

// indexed is a field that is in the table (§4.5.2).
func indexed(section []byte, into *http2.Block) ([]byte, bool) {
	index, section, ok := http2.Integer(section, 6)
	if !ok || index >= len(static) {
		return nil, false
	}
	mark, entry := into.Mark(), &static[index]
	into.AppendString(entry.name)
	into.AppendString(entry.value)
	into.EndField(mark, len(entry.name))
	return section, true
}

// named is a field whose name is in the table (§4.5.4).
func (d *Decoder) named(section []byte, into *http2.Block) ([]byte, bool) {
	index, section, ok := http2.Integer(section, 4)
	if !ok || index >= len(static) {
		return nil, false
	}
	mark, name := into.Mark(), static[index].name
	into.AppendString(name)
	section, ok = d.text.Take(into, section, 7)
	if ok {
		into.EndField(mark, len(name))
	}
	return section, ok
}

// literal is a field that has its own name (§4.5.6).
func (d *Decoder) literal(section []byte, into *http2.Block) ([]byte, bool) {
	mark := into.Mark()
	section, ok := d.text.Take(into, section, 3)
	if !ok {
		return nil, false
	}
	name := into.Mark() - mark
	if section, ok = d.text.Take(into, section, 7); ok {
		into.EndField(mark, name)
	}
	return section, ok
}

// appendPrefix begins a section that refers to nothing dynamic (§4.5.1).
func appendPrefix(dst []byte) []byte { return append(dst, 0, 0) }

// appendField appends a field, whose name may be in any case.
func appendField(dst, name, value []byte) []byte {
	var buf [maxKnownName]byte
	if len(name) <= maxKnownName {
		lower := http2.Lower(buf[:0], name)
		if first, ok := staticNames[string(lower)]; ok {
			for i := first; i < len(static) && static[i].name == static[first].name; i++ {
				if static[i].value == string(value) {
					return http2.AppendInteger(dst, 0xc0, 6, i)
				}
			}
			return http2.AppendText(http2.AppendInteger(dst, 0x50, 4, first), value)
		}
	}
	return http2.AppendText(http2.AppendLower(dst, 0x20, 3, name), value)
}

// maxKnownName is the length of the longest name in the static table.
const maxKnownName = len("access-control-allow-credentials")

// appendStatus appends the status of a response.
func appendStatus(dst []byte, status int) []byte {
	var buf [20]byte
	text := strconv.AppendInt(buf[:0], int64(status), 10)
	for _, run := range [...][2]int{{firstStatus, lastStatus}, {moreStatus, mostStatus}} {
		for i := run[0]; i <= run[1]; i++ {
			if static[i].value == string(text) {
				return http2.AppendInteger(dst, 0xc0, 6, i)
			}
		}
	}
	return http2.AppendText(http2.AppendInteger(dst, 0x50, 4, firstStatus), text)
}

var lengthName = []byte("content-length")

// AppendResponse appends the head of a response as a section: the fields that aren't
// dropped, and the length where it is known and no field has it.
func AppendResponse(dst []byte, r *message.Response) []byte {
	dst = appendStatus(appendPrefix(dst), r.Status)
	sized := false
	for i := range r.Header {
		f := &r.Header[i]
		if http2.Sends(r, f) {
			sized = sized || f.ID == message.ContentLength
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	if !sized && r.Length >= 0 && r.Status >= 200 {
		var buf [20]byte
		dst = appendField(dst, lengthName, strconv.AppendInt(buf[:0], r.Length, 10))
	}
	return dst
}

// AppendTrailer appends the fields of a trailer section that may stand in one. There may
// be none: then nothing is appended.
func AppendTrailer(dst []byte, trailer message.Header) []byte {
	begun := false
	for i := range trailer {
		if !trailer[i].MayTrail() {
			continue
		}
		if !begun {
			begun, dst = true, appendPrefix(dst)
		}
		dst = appendField(dst, trailer[i].Name, trailer[i].Value)
	}
	return dst
}
