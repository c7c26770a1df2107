package grpcweb

import "errors"

// ErrBase64 is of text that is none.
var ErrBase64 = errors.New("the content isn't base64, as gRPC-Web's text is")

// Decoder decodes text as it comes, in parts that end anywhere. Padding may stand at
// the end of each group of four characters: clients encode messages one by one.
type Decoder struct {
	group [4]byte // the six bits of each character
	n     int     // that have come
	pads  int     // of them are padding
}

// notBase64 is the value of a character that is none, and padding that of "=".
const (
	notBase64 = 0xff
	padding   = 0xfe
)

var values = func() (t [256]byte) {
	for i := range t {
		t[i] = notBase64
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	t['='] = padding
	return t
}()

// Decode decodes text into dst, as far as there is room for it: 3 bytes at least. It
// returns how much it has written and read; errors stay.
func (d *Decoder) Decode(dst, text []byte) (written, read int, err error) {
	for read < len(text) && len(dst)-written >= 3 {
		if d.n == 0 && len(text)-read >= 4 {
			a, b, c, e := values[text[read]], values[text[read+1]], values[text[read+2]], values[text[read+3]]
			if a|b|c|e < 64 {
				dst[written], dst[written+1], dst[written+2] = a<<2|b>>4, b<<4|c>>2, c<<6|e
				written, read = written+3, read+4
				continue
			}
		}
		n, err := d.add(dst[written:], values[text[read]])
		if err != nil {
			return written, read, err
		}
		written, read = written+n, read+1
	}
	return written, read, nil
}

// add takes one character. It returns how many bytes that makes.
func (d *Decoder) add(dst []byte, value byte) (n int, err error) {
	switch {
	case value == notBase64, value == padding && d.n < 2, value != padding && d.pads > 0:
		return 0, ErrBase64
	case value == padding:
		d.pads++
		value = 0
	}
	d.group[d.n] = value
	if d.n++; d.n < 4 {
		return 0, nil
	}
	g := d.group
	n = 3 - d.pads
	copy(dst, []byte{g[0]<<2 | g[1]>>4, g[1]<<4 | g[2]>>2, g[2]<<6 | g[3]}[:n])
	*d = Decoder{}
	return n, nil
}

// Whole reports whether the text may end here.
func (d *Decoder) Whole() bool { return d.n == 0 }
