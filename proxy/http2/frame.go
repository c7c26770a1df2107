// Package http2 is the one place where bytes become messages of HTTP/2 (RFC 9113)
// and messages become bytes: frames, header blocks (RFC 7541), the mapping of
// pseudo-fields with its checks, windows. It serves both directions, and knows
// neither connections of clients nor those to targets.
//
//	reader.Reset(conn)
//	frame, err := reader.Next()
//	err = decoder.Decode(frame.Payload, &block) // of a HEADERS frame, once unpadded
//	err = request.Parse(&block, options)        // a Violation is malformed
//
// Frames and blocks are read in place: nothing is allocated for either, and a
// connection that waits holds no buffer. What a request is held to is what HTTP/1
// holds it to (proxy/http1), so that nothing can be smuggled by a downgrade.
package http2

import "encoding/binary"

// FrameType is what a frame is (RFC 9113 §6).
type FrameType uint8

// The types of frames.
const (
	Data           FrameType = 0x0
	Headers        FrameType = 0x1
	Priority       FrameType = 0x2
	ResetStream    FrameType = 0x3
	SettingsFrame  FrameType = 0x4
	PushPromise    FrameType = 0x5
	Ping           FrameType = 0x6
	GoAway         FrameType = 0x7
	WindowUpdate   FrameType = 0x8
	Continuation   FrameType = 0x9
	PriorityUpdate FrameType = 0x10 // RFC 9218 §7.1
)

// The flags of frames.
const (
	FlagEndStream  uint8 = 0x1  // of Data and Headers
	FlagAck        uint8 = 0x1  // of SettingsFrame and Ping
	FlagEndHeaders uint8 = 0x4  // of Headers and Continuation
	FlagPadded     uint8 = 0x8  // of Data and Headers
	FlagPriority   uint8 = 0x20 // of Headers
)

const (
	// Preface is what a client begins with (RFC 9113 §3.4). Its first lines are the
	// head of a request that HTTP/1 refuses.
	Preface = PrefaceHead + "SM\r\n\r\n"
	// PrefaceHead is the part of it that looks like a head of HTTP/1.
	PrefaceHead = "PRI * HTTP/2.0\r\n\r\n"

	// FrameHead is the length of what is before a frame's payload.
	FrameHead = 9
	// MaxFrame is the longest payload that is taken. It is the least that every
	// peer must take, too (§6.5.2).
	MaxFrame = 16 << 10
	// MaxStream is the greatest number of a stream.
	MaxStream = 1<<31 - 1
	// MaxWindow is the greatest window (§6.9.1).
	MaxWindow = 1<<31 - 1
	// FirstWindow is what every window begins with (§6.9.2).
	FirstWindow = 1<<16 - 1
)

// Frame is a frame that has been received. Payload is valid until the next one is.
type Frame struct {
	Type    FrameType
	Flags   uint8
	Stream  uint32
	Length  int // of the payload as it came: what a window counts
	Payload []byte
}

// Has reports whether a flag is set.
func (f *Frame) Has(flag uint8) bool { return f.Flags&flag != 0 }

// Unpad takes the padding, and of Headers the priority of RFC 7540, off a frame's
// payload. It does so even if its error is a *StreamError: the block has to be
// decoded all the same.
func (f *Frame) Unpad() error {
	p, pad := f.Payload, 0
	var wrong error
	if f.Has(FlagPadded) {
		if len(p) == 0 {
			return frameSize("a padded frame has no length of its padding")
		}
		pad, p = int(p[0]), p[1:]
	}
	if f.Type == Headers && f.Has(FlagPriority) {
		if len(p) < priorityLen {
			return frameSize("HEADERS has no room for its priority")
		}
		if binary.BigEndian.Uint32(p)&MaxStream == f.Stream {
			wrong = &StreamError{Stream: f.Stream, Code: ProtocolError, Why: "a stream depends on itself"}
		}
		p = p[priorityLen:]
	}
	if pad > len(p) {
		return connError(ProtocolError, "the padding of a frame is longer than the frame")
	}
	f.Payload = p[:len(p)-pad]
	return wrong
}

// priorityLen is the length of a priority of RFC 7540, which RFC 9113 §5.3.2 has
// everybody ignore.
const priorityLen = 5

// CheckPriority judges a Priority frame.
func (f *Frame) CheckPriority() error {
	switch {
	case len(f.Payload) != priorityLen:
		return &StreamError{Stream: f.Stream, Code: FrameSizeError, Why: "PRIORITY is not 5 bytes"}
	case binary.BigEndian.Uint32(f.Payload)&MaxStream == f.Stream:
		return &StreamError{Stream: f.Stream, Code: ProtocolError, Why: "a stream depends on itself"}
	}
	return nil
}

// Code returns the code of a ResetStream frame.
func (f *Frame) Code() (Code, error) {
	if len(f.Payload) != 4 {
		return 0, frameSize("RST_STREAM is not 4 bytes")
	}
	return Code(binary.BigEndian.Uint32(f.Payload)), nil
}

// Increment returns that of a WindowUpdate frame.
func (f *Frame) Increment() (uint32, error) {
	if len(f.Payload) != 4 {
		return 0, frameSize("WINDOW_UPDATE is not 4 bytes")
	}
	n := binary.BigEndian.Uint32(f.Payload) & MaxWindow
	switch {
	case n > 0:
		return n, nil
	case f.Stream == 0:
		return 0, connError(ProtocolError, "WINDOW_UPDATE adds 0")
	}
	return 0, &StreamError{Stream: f.Stream, Code: ProtocolError, Why: "WINDOW_UPDATE adds 0"}
}

// PingData returns that of a Ping frame.
func (f *Frame) PingData() (data [8]byte, err error) {
	if len(f.Payload) != len(data) {
		return data, frameSize("PING is not 8 bytes")
	}
	copy(data[:], f.Payload)
	return data, nil
}

// GoAway returns the last stream that the peer has looked at, and its reason.
func (f *Frame) GoAway() (last uint32, code Code, err error) {
	if len(f.Payload) < 8 {
		return 0, 0, frameSize("GOAWAY is shorter than 8 bytes")
	}
	return binary.BigEndian.Uint32(f.Payload) & MaxStream, Code(binary.BigEndian.Uint32(f.Payload[4:])), nil
}

// AppendFrameHead appends what is before the payload of a frame.
func AppendFrameHead(dst []byte, length int, t FrameType, flags uint8, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(t), flags) //nolint:gosec // G115: of 24 bits
	return binary.BigEndian.AppendUint32(dst, stream)
}

// AppendReset appends a RST_STREAM frame.
func AppendReset(dst []byte, stream uint32, code Code) []byte {
	return binary.BigEndian.AppendUint32(AppendFrameHead(dst, 4, ResetStream, 0, stream), uint32(code))
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame.
func AppendWindowUpdate(dst []byte, stream, increment uint32) []byte {
	return binary.BigEndian.AppendUint32(AppendFrameHead(dst, 4, WindowUpdate, 0, stream), increment)
}

// AppendPing appends a PING frame, or the answer to one.
func AppendPing(dst []byte, flags uint8, data [8]byte) []byte {
	return append(AppendFrameHead(dst, len(data), Ping, flags, 0), data[:]...)
}

// AppendGoAway appends a GOAWAY frame; words are for whoever looks for a fault.
func AppendGoAway(dst []byte, last uint32, code Code, words string) []byte {
	dst = AppendFrameHead(dst, 8+len(words), GoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	return append(binary.BigEndian.AppendUint32(dst, uint32(code)), words...)
}

// AppendHeaders appends a header block as a HEADERS frame with as many
// CONTINUATION frames as it needs, of at most maxFrame bytes each.
func AppendHeaders(dst []byte, stream uint32, block []byte, maxFrame int, end bool) []byte {
	t, flags := Headers, uint8(0)
	if end {
		flags = FlagEndStream
	}
	for len(block) > maxFrame {
		dst = append(AppendFrameHead(dst, maxFrame, t, flags, stream), block[:maxFrame]...)
		t, flags, block = Continuation, 0, block[maxFrame:]
	}
	return append(AppendFrameHead(dst, len(block), t, flags|FlagEndHeaders, stream), block...)
}
