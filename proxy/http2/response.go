package http2

import "github.com/keystone-gateway/keystone-gateway/proxy/message"

// Response is a response as it was received.
type Response struct {
	message.Response
	cookies []byte
}

// Reset makes r ready for another message and keeps its memory.
func (r *Response) Reset() {
	r.Response.Reset()
	r.cookies = r.cookies[:0]
}

// Parse judges a block as HTTP/1 would judge the response's head. The slices are
// views into the block. toHEAD says that it answers HEAD; ended, that no content
// follows. Its error is a message.Violation.
func (r *Response) Parse(b *Block, toHEAD, ended bool) error {
	r.Reset()
	r.Version = version
	if b.Len() == 0 || string(b.Name(0)) != ":status" {
		return message.BadPseudoField
	}
	status := b.Value(0)
	if len(status) != 3 {
		return message.BadStatusLine
	}
	for _, c := range status {
		if c < '0' || c > '9' {
			return message.BadStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 || r.Status == 101 { // there is no other protocol (RFC 9113 §8.6)
		return message.BadStatusLine
	}
	h := head{message: &r.Message, cookies: r.cookies}
	err := h.fields(b, 1)
	r.cookies = h.cookies
	switch {
	case err != nil:
		return err
	case b.TooLarge():
		return message.HeaderTooLarge
	case r.Status < 200 && (ended || h.lengths > 0):
		return message.ConflictingFraming
	}
	switch {
	case r.Status < 200, toHEAD, r.Status == 204, r.Status == 304:
		r.Bodiless = true
	case ended && r.Length > 0:
		return message.WrongLength
	case ended:
		r.Length = 0
	}
	return nil
}
