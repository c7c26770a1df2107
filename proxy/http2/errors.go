package http2

import "fmt"

// Code says why a stream or a connection ends (RFC 9113 §7).
type Code uint32

// The codes.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeTexts = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

func (c Code) String() string {
	if int(c) < len(codeTexts) {
		return codeTexts[c]
	}
	return fmt.Sprintf("error code %d", uint32(c))
}

// ConnError ends a connection: what its peer has sent leaves nothing that could be
// trusted. Why is told to the peer.
type ConnError struct {
	Code Code
	Why  string
}

func (e *ConnError) Error() string { return e.Code.String() + ": " + e.Why }

func connError(code Code, why string) error { return &ConnError{code, why} }

func frameSize(why string) error { return connError(FrameSizeError, why) }

// StreamError ends one stream of a connection.
type StreamError struct {
	Stream uint32
	Code   Code
	Why    string
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("stream %d: %s: %s", e.Stream, e.Code, e.Why)
}
