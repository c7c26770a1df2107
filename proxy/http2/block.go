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
	b.size += name + value + lineEnds
	if b.tooLarge || b.size > b.most || len(b.fields) == message.MaxFields {
		b.tooLarge = true
		b.bytes = b.bytes[:at]
		return
	}
	b.fields = append(b.fields, fieldSpan{at, name, value})
}
