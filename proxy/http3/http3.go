// Package http3 is the one place where bytes become messages of HTTP/3 (RFC 9114) and
// messages become bytes: heads of frames, settings, field sections (RFC 9204). What a
// request is, and what breaks one, is HTTP/2's: proxy/http2 judges both. It knows no
// connections, and nothing of QUIC but its integers.
//
//	kind, length, n := http3.ParseFrame(bytes)
//	ok := decoder.Decode(section, &block)   // false: the connection ends
//	err := request.Parse(&block, asked)     // proxy/http2's: a Violation is malformed
//
// No dynamic table is used in either direction: so no stream waits for another one, a
// section costs what it is long, and a connection that idles keeps nothing for it.
package http3

import "fmt"

// Version is the protocol's, as message.Request has it.
const Version = "3.0"

// Protocol is its name in ALPN and in Alt-Svc.
const Protocol = "h3"

// Code says why a stream or a connection ends (RFC 9114 §8.1, RFC 9204 §6).
type Code uint64

// The codes.
const (
	NoError Code = 0x100 + iota
	GeneralProtocolError
	InternalError
	StreamCreationError
	ClosedCriticalStream
	FrameUnexpected
	FrameError
	ExcessiveLoad
	IDError
	SettingsError
	MissingSettings
	RequestRejected
	RequestCancelled
	RequestIncomplete
	MessageError
	ConnectError
	VersionFallback
)

// The codes of field sections.
const (
	DecompressionFailed Code = 0x200 + iota
	EncoderStreamError
	DecoderStreamError
)

var codeTexts = [...]string{
	"H3_NO_ERROR", "H3_GENERAL_PROTOCOL_ERROR", "H3_INTERNAL_ERROR", "H3_STREAM_CREATION_ERROR", "H3_CLOSED_CRITICAL_STREAM",
	"H3_FRAME_UNEXPECTED", "H3_FRAME_ERROR", "H3_EXCESSIVE_LOAD", "H3_ID_ERROR", "H3_SETTINGS_ERROR", "H3_MISSING_SETTINGS",
	"H3_REQUEST_REJECTED", "H3_REQUEST_CANCELLED", "H3_REQUEST_INCOMPLETE", "H3_MESSAGE_ERROR", "H3_CONNECT_ERROR", "H3_VERSION_FALLBACK",
}

var sectionTexts = [...]string{"QPACK_DECOMPRESSION_FAILED", "QPACK_ENCODER_STREAM_ERROR", "QPACK_DECODER_STREAM_ERROR"}

func (c Code) String() string {
	switch {
	case c >= NoError && c-NoError < Code(len(codeTexts)):
		return codeTexts[c-NoError]
	case c >= DecompressionFailed && c-DecompressionFailed < Code(len(sectionTexts)):
		return sectionTexts[c-DecompressionFailed]
	}
	return fmt.Sprintf("error code %#x", uint64(c))
}

// ConnError ends a connection: what its peer has sent leaves nothing that could be
// trusted. Why is told to the peer.
type ConnError struct {
	Code Code
	Why  string
}

func (e *ConnError) Error() string { return e.Code.String() + ": " + e.Why }
