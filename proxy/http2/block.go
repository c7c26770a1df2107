package http2

import (
	"unsafe" // for sizes

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Block is a header block as it was decoded: pseudo-fields and fields, in order. Its
// slices are valid until Reset.
type Block struct {
	bytes    []byte
	fields   []fieldSpan
	most     int
	size     int
	pseudo   int // fields of the start line, which stand first
	unlined  int // of them, those that are no lines in HTTP/1
	tooLarge bool
}

// fieldSpan is where a field is in the bytes.
type fieldSpan struct{ at, name, value int }

// keepBlock is the largest memory of a block that is kept.
const keepBlock = 8 << 10

// Reset makes b ready for another block, of at most so many bytes.
func (b *Block) Reset(most int) {
	if cap(b.bytes) > keepBlock {
		b.bytes = nil
	}
	*b = Block{bytes: b.bytes[:0], fields: b.fields[:0], most: most}
}

// Len returns the number of fields.
func (b *Block) Len() int { return len(b.fields) }

// Name returns that of a field.
func (b *Block) Name(i int) []byte {
	f := &b.fields[i]
	return b.bytes[f.at : f.at+f.name : f.at+f.name]
}

// Value returns that of a field.
func (b *Block) Value(i int) []byte {
	f := &b.fields[i]
	begin := f.at + f.name
	return b.bytes[begin : begin+f.value : begin+f.value]
}

// Size is how long a head of HTTP/1 with these fields would be, in bytes.
func (b *Block) Size() int { return b.size }

// Held is how much memory it takes, with what refers to its fields, in bytes.
func (b *Block) Held() int64 {
	each := int(unsafe.Sizeof(fieldSpan{}) + unsafe.Sizeof(message.Field{}))
	return int64(cap(b.bytes) + cap(b.fields)*each)
}

// TooLarge reports whether there was more than there may be; the rest was decoded,
// and not kept.
func (b *Block) TooLarge() bool { return b.tooLarge }

// Refuse says that there is more than there may be, of which nothing was decoded.
func (b *Block) Refuse() { b.tooLarge = true }

// Mark is where the next field begins, for EndField.
func (b *Block) Mark() int { return len(b.bytes) }

// Append appends to the field that has begun: its name, and then its value.
func (b *Block) Append(text []byte) { b.bytes = append(b.bytes, text...) }

// AppendString is Append of what is known already.
func (b *Block) AppendString(text string) { b.bytes = append(b.bytes, text...) }

// EndField ends the field that has begun at a mark, whose name is that long.
func (b *Block) EndField(mark, name int) { b.end(mark, name) }

// lineEnds is what a field has in HTTP/1 besides its name and value.
const lineEnds = len(": \r\n")

// end takes over what was appended to the bytes as a field, whose name is that long.
func (b *Block) end(at, name int) {
	value := len(b.bytes) - at - name
	b.size += b.cost(at, name, value)
	if b.tooLarge || b.size > b.most || len(b.fields)-b.unlined == message.MaxFields {
		b.tooLarge = true
		b.bytes = b.bytes[:at]
		return
	}
	b.fields = append(b.fields, fieldSpan{at, name, value})
}

// maxPseudo is how many pseudo-fields a request can have (RFC 8441 §4): others are none.
const maxPseudo = 5

// cost is how much longer a field makes a head of HTTP/1: most are lines, and
// pseudo-fields parts of the first one, which ends like the head.
func (b *Block) cost(at, name, value int) int {
	if b.pseudo == maxPseudo || b.pseudo < len(b.fields) || name == 0 || b.bytes[at] != ':' {
		return name + value + lineEnds
	}
	b.pseudo++
	switch string(b.bytes[at : at+name]) {
	case ":authority":
		return len("host") + value + lineEnds
	case ":scheme": // no head has it
		value = max(0, value-len("https"))
	case ":path":
	default:
		value += len(" ") + len(" HTTP/1.1\r\n\r\n")
	}
	b.unlined++
	return value
}
