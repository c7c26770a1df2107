package http2

import "golang.org/x/net/http2/hpack"

// maxTable is the size of the dynamic table that peers may fill: what every one
// begins with (RFC 9113 §6.5.2).
const maxTable = 4 << 10

// Decoder decodes the header blocks of one connection (RFC 7541). It must be given
// all of them, in order. Its zero value is ready; it is not safe for concurrent use.
//
// Entries of the table lie in one slice, the oldest first, and are found by where
// they begin: so a connection that idles keeps a few kilobytes, and none of its
// requests allocates.
type Decoder struct {
	bytes   []byte
	entries []entry
	gone    int // entries at the start of the slice that were evicted
	size    int // of those that are left, as §4.1 counts it
	lowered int // maxTable less the size that the peer has set
	text    Text
}

// entry is a field of the dynamic table.
type entry struct{ at, name, value uint16 }

// entryCost is what an entry counts besides its bytes (RFC 7541 §4.1).
const entryCost = 32

// Text decodes strings of blocks (§5.2). Its zero value is ready; it isn't safe for
// concurrent use.
type Text struct{ to []byte }

// Write is the decoder's of Huffman's code.
func (t *Text) Write(p []byte) (int, error) {
	t.to = append(t.to, p...)
	return len(p), nil
}

var (
	errCompression = connError(CompressionError, "a header block can't be decoded")
	errLateResize  = connError(CompressionError, "a header block changes the size of the table behind its first field") // §4.2
)

// Decode decodes a whole block. After an error, a *ConnError, nothing that follows
// can be decoded.
func (d *Decoder) Decode(block []byte, into *Block) error {
	begun := false
	for len(block) > 0 {
		var err error
		switch first := block[0]; {
		case first&0x80 != 0:
			block, err = d.indexed(block, into)
		case first&0xc0 == 0x40:
			block, err = d.literal(block, 6, into, true)
		case first&0xe0 == 0x20:
			if begun {
				return errLateResize
			}
			if block, err = d.resize(block); err != nil {
				return err
			}
			continue
		default: // without indexing, or never indexed
			block, err = d.literal(block, 4, into, false)
		}
		if err != nil {
			return err
		}
		if into.size > expansion*into.most {
			return errExpansion
		}
		begun = true
	}
	return nil
}

// expansion is how many times as large as a block may be one is decoded to the end,
// so that it is refused by itself: a byte can stand for a field of 4 KiB.
const expansion = 16

var errExpansion = connError(EnhanceYourCalm, "a header block is many times as large as SETTINGS_MAX_HEADER_LIST_SIZE")

// indexed is a field that is in a table (§6.1).
func (d *Decoder) indexed(block []byte, into *Block) ([]byte, error) {
	index, block, err := integer(block, 7)
	if err != nil {
		return nil, err
	}
	at := len(into.bytes)
	name, ok := d.appendEntry(into, index, true)
	if !ok {
		return nil, errCompression
	}
	into.end(at, name)
	return block, nil
}

// appendEntry appends an entry's name, of which it returns the length, and its
// value, if that is wanted.
func (d *Decoder) appendEntry(into *Block, index int, value bool) (name int, ok bool) {
	switch {
	case index == 0:
		return 0, false
	case index <= len(static):
		e := &static[index-1]
		into.bytes = append(into.bytes, e.name...)
		if value {
			into.bytes = append(into.bytes, e.value...)
		}
		return len(e.name), true
	}
	index -= len(static)
	if index > len(d.entries)-d.gone {
		return 0, false
	}
	e := d.entries[len(d.entries)-index]
	end := e.at + e.name
	if value {
		end += e.value
	}
	into.bytes = append(into.bytes, d.bytes[e.at:end]...)
	return int(e.name), true
}

// literal is a field with a value of its own, and perhaps a name (§6.2).
func (d *Decoder) literal(block []byte, prefix int, into *Block, keep bool) ([]byte, error) {
	index, block, err := integer(block, prefix)
	if err != nil {
		return nil, err
	}
	at := len(into.bytes)
	var name int
	var ok bool
	if index > 0 {
		name, ok = d.appendEntry(into, index, false)
	} else {
		block, ok = d.text.Take(into, block, 7)
		name = len(into.bytes) - at
	}
	if !ok {
		return nil, errCompression
	}
	if block, ok = d.text.Take(into, block, 7); !ok {
		return nil, errCompression
	}
	if keep {
		d.add(into.bytes[at:], name)
	}
	into.end(at, name)
	return block, nil
}

// Take appends the string that an encoded block begins with, whose length has so many
// bits in its first byte; the bit before them says that it is coded.
func (t *Text) Take(into *Block, block []byte, prefix int) (rest []byte, ok bool) {
	if len(block) == 0 {
		return nil, false
	}
	coded := block[0]&(1<<prefix) != 0
	length, rest, err := integer(block, prefix)
	if err != nil || length > len(rest) {
		return nil, false
	}
	text, rest := rest[:length], rest[length:]
	if !coded {
		into.bytes = append(into.bytes, text...)
		return rest, true
	}
	t.to = into.bytes
	_, err = hpack.HuffmanDecode(t, text)
	into.bytes, t.to = t.to, nil
	return rest, err == nil
}

// Integer reads one with so many bits in its first byte (§5.1), as QPACK has them too.
func Integer(block []byte, prefix int) (n int, rest []byte, ok bool) {
	n, rest, err := integer(block, prefix)
	return n, rest, err == nil
}

// integer reads one with so many bits in its first byte (§5.1).
func integer(block []byte, prefix int) (n int, rest []byte, err error) {
	if len(block) == 0 {
		return 0, nil, errCompression
	}
	most := 1<<prefix - 1
	n = int(block[0]) & most
	if n < most {
		return n, block[1:], nil
	}
	for i, shift := 1, 0; i < len(block) && shift <= 21; i, shift = i+1, shift+7 {
		n += int(block[i]&0x7f) << shift
		if block[i]&0x80 == 0 {
			return n, block[i+1:], nil
		}
	}
	return 0, nil, errCompression
}

// resize changes the size of the table (§6.3).
func (d *Decoder) resize(block []byte) ([]byte, error) {
	size, block, err := integer(block, 5)
	if err != nil || size > maxTable {
		return nil, errCompression
	}
	d.lowered = maxTable - size
	d.evict(size)
	return block, nil
}

// add puts a field into the table (§4.4).
func (d *Decoder) add(field []byte, name int) {
	cost := len(field) + entryCost
	d.evict(maxTable - d.lowered - cost)
	if cost > maxTable-d.lowered {
		return
	}
	if d.gone > 0 && (len(d.bytes)+len(field) > maxTable || d.gone > maxTable/entryCost) {
		d.compact()
	}
	d.entries = append(d.entries, entry{uint16(len(d.bytes)), uint16(name), uint16(len(field) - name)}) //nolint:gosec // G115: they are below maxTable
	d.bytes = append(d.bytes, field...)
	d.size += cost
}

// evict drops the oldest entries until the rest has that size.
func (d *Decoder) evict(size int) {
	for d.gone < len(d.entries) && d.size > size {
		e := d.entries[d.gone]
		d.size -= int(e.name) + int(e.value) + entryCost
		d.gone++
	}
	if d.gone == len(d.entries) {
		d.entries, d.bytes, d.gone = d.entries[:0], d.bytes[:0], 0
	}
}

// compact forgets the bytes of what was evicted.
func (d *Decoder) compact() {
	at := d.entries[d.gone].at
	d.bytes = append(d.bytes[:0], d.bytes[at:]...)
	d.entries = append(d.entries[:0], d.entries[d.gone:]...)
	for i := range d.entries {
		d.entries[i].at -= at
	}
	d.gone = 0
}
