package http2

import "github.com/keystone-gateway/keystone-gateway/proxy/message"

// head is a message while its block is judged.
type head struct {
	message *message.Message
	cookies []byte // of all fields, where there are several; else nil
	crumb   int    // the cookie's place in the header, from 1 on
	lengths int    // how many Content-Length there are
}

// pseudo reports whether a field of the block is a pseudo-field.
func pseudo(name []byte) bool { return len(name) > 0 && name[0] == ':' }

// fields takes the fields of a block from that one on; pseudo-fields may not follow.
// It holds them to the rules of HTTP/1 (RFC 9113 §8.2.1), and joins cookies (§8.2.3).
func (h *head) fields(b *Block, from int) error {
	m := h.message
	m.Length = message.Unsized
	for i := from; i < b.Len(); i++ {
		f, err := field(b, i)
		if err != nil {
			return err
		}
		switch {
		case isConnectionField(f.ID, f.Name):
			return message.ConnectionField
		case f.ID == message.TE && !message.EqualFold(f.Value, "trailers"):
			return message.ConnectionField
		case f.ID == message.ContentLength:
			n, ok := message.ParseDecimal(f.Value)
			if h.lengths++; !ok || h.lengths > 1 {
				return message.BadContentLength
			}
			m.Length = n
		case f.ID == message.Unknown && string(f.Name) == "cookie" && h.crumb > 0:
			h.join(f.Value)
			continue
		}
		m.Receive(f)
		if f.ID == message.Unknown && string(f.Name) == "cookie" {
			h.crumb = len(m.Header)
		}
	}
	return nil
}

// join adds a cookie to those of the field before.
func (h *head) join(value []byte) {
	f := &h.message.Header[h.crumb-1]
	if len(h.cookies) == 0 {
		h.cookies = append(h.cookies, f.Value...)
	}
	h.cookies = append(append(h.cookies, "; "...), value...)
	f.Value = h.cookies
}

// field is a field of the block that is no pseudo-field.
func field(b *Block, i int) (message.Field, error) {
	name, value := b.Name(i), b.Value(i)
	if pseudo(name) {
		return message.Field{}, message.BadPseudoField
	}
	if !isLowerToken(name) {
		return message.Field{}, message.BadFieldName
	}
	if !isValue(value) {
		return message.Field{}, message.BadFieldValue
	}
	return message.Field{Name: name, Value: value, ID: message.Identify(name)}, nil
}

// isLowerToken refuses what is no token, and letters of upper case (§8.2).
func isLowerToken(name []byte) bool {
	for _, c := range name {
		if !message.IsTokenByte(c) || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return len(name) > 0
}

// isValue refuses controls, and white space at either end (§8.2.1).
func isValue(value []byte) bool {
	return message.IsFieldText(value) && len(message.Trim(value)) == len(value)
}

// ParseTrailer appends the fields of a trailer section to a header. The slices are
// views into the block. Its error is a message.Violation.
func ParseTrailer(b *Block, to message.Header) (message.Header, error) {
	if b.TooLarge() {
		return to, message.BadTrailer
	}
	for i := range b.Len() {
		f, err := field(b, i)
		if err != nil || isConnectionField(f.ID, f.Name) {
			return to, message.BadTrailer
		}
		to = append(to, f)
	}
	return to, nil
}
