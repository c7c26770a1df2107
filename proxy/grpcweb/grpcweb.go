// Package grpcweb is the codec of gRPC-Web, by which browsers speak gRPC: its media
// types, its frame of trailers and its two encodings. It knows no HTTP, and keeps
// nothing of what it is given.
//
// To a gRPC server, content that is text is decoded as it comes:
//
//	var d grpcweb.Decoder
//	n, read, err := d.Decode(room, text) // again, until all is read
//
// From it, messages are followed, and encoded where the client wants text; the
// trailers come behind them:
//
//	e := grpcweb.Encoder{Encoding: grpcweb.Text}
//	out, err = e.Append(out[:0], messages)
//	out, err = e.AppendTrailer(out[:0], fields)
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md is the specification.
package grpcweb

// Encoding is how messages are sent.
type Encoding uint8

// The encodings.
const (
	None   Encoding = iota // it isn't gRPC-Web
	Binary                 // as they are
	Text                   // as base64, of which each part may have its own padding
)

const (
	webType    = "application/grpc-web"
	textSuffix = "-text"
)

// ParseType says which encoding a media type names, and which format: what follows,
// such as "+proto", or nothing.
func ParseType(media []byte) (e Encoding, format []byte) {
	if len(media) < len(webType) || !equalFold(media[:len(webType)], webType) {
		return None, nil
	}
	e, format = Binary, media[len(webType):]
	if len(format) >= len(textSuffix) && equalFold(format[:len(textSuffix)], textSuffix) {
		e, format = Text, format[len(textSuffix):]
	}
	if len(format) > 0 && format[0] != '+' && format[0] != ';' && format[0] != ' ' {
		return None, nil
	}
	return e, format
}

// AppendType appends the media type of an encoding and a format.
func AppendType(dst []byte, e Encoding, format []byte) []byte {
	dst = append(dst, webType...)
	if e == Text {
		dst = append(dst, textSuffix...)
	}
	return append(dst, format...)
}

// equalFold compares with a text in lower case.
func equalFold(b []byte, lower string) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
