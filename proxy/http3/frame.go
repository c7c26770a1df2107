package http3

import "github.com/quic-go/quic-go/quicvarint"

// FrameType is what a frame is (RFC 9114 §7.2).
type FrameType uint64

// The types of frames.
const (
	Data           FrameType = 0x0
	Headers        FrameType = 0x1
	CancelPush     FrameType = 0x3
	SettingsFrame  FrameType = 0x4
	PushPromise    FrameType = 0x5
	GoAway         FrameType = 0x7
	MaxPushID      FrameType = 0xd
	PriorityUpdate FrameType = 0xf0700 // of a request (RFC 9218 §7.2)
	PriorityOfPush FrameType = 0xf0701
)

// IsHTTP2s reports whether a type is one of HTTP/2's that has no meaning here, and which
// nobody may send (RFC 9114 §7.2.8).
func (t FrameType) IsHTTP2s() bool { return t == 0x2 || t == 0x6 || t == 0x8 || t == 0x9 }

// StreamType is what a unidirectional stream begins with (RFC 9114 §6.2, RFC 9204 §4.2).
type StreamType uint64

// The types of streams.
const (
	ControlStream StreamType = 0x0
	PushStream    StreamType = 0x1
	EncoderStream StreamType = 0x2
	DecoderStream StreamType = 0x3
)

// MaxFrameHead is the longest head of a frame.
const MaxFrameHead = 16

// MaxStream is beyond the number of each stream of a client's (RFC 9000 §2.1).
const MaxStream = 1<<62 - 4

// ParseInteger reads an integer (RFC 9000 §16) and returns its length; 0: there is not
// all of it yet.
func ParseInteger(b []byte) (value uint64, n int) {
	value, n, err := quicvarint.Parse(b)
	if err != nil {
		return 0, 0
	}
	return value, n
}

// AppendInteger appends one.
func AppendInteger(dst []byte, value uint64) []byte { return quicvarint.Append(dst, value) }

// ParseFrame reads the head of a frame, whose payload is that long, and returns the
// head's own length; 0: there is not all of it yet.
func ParseFrame(b []byte) (t FrameType, length uint64, n int) {
	kind, n := ParseInteger(b)
	if n == 0 {
		return 0, 0, 0
	}
	length, more := ParseInteger(b[n:])
	if more == 0 {
		return 0, 0, 0
	}
	return FrameType(kind), length, n + more
}

// AppendFrameHead appends what is before the payload of a frame.
func AppendFrameHead(dst []byte, t FrameType, length int) []byte {
	return AppendInteger(AppendInteger(dst, uint64(t)), uint64(length)) //nolint:gosec // G115: it isn't negative
}

// AppendGoAway appends a GOAWAY frame: requests on that stream, and on those after it,
// are not served.
func AppendGoAway(dst []byte, stream uint64) []byte {
	return AppendInteger(AppendFrameHead(dst, GoAway, quicvarint.Len(stream)), stream)
}

// Setting is one of SETTINGS (RFC 9114 §7.2.4.1).
type Setting struct{ ID, Value uint64 }

// MaxFieldSection is the setting that says how large a head may be.
const MaxFieldSection = 0x6

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, list ...Setting) []byte {
	length := 0
	for _, s := range list {
		length += quicvarint.Len(s.ID) + quicvarint.Len(s.Value)
	}
	dst = AppendFrameHead(dst, SettingsFrame, length)
	for _, s := range list {
		dst = AppendInteger(AppendInteger(dst, s.ID), s.Value)
	}
	return dst
}

// maxSettings is how many settings are taken, those of which nothing is known included.
const maxSettings = 64

// CheckSettings judges the payload of a SETTINGS frame. Nothing that it can say is used:
// no table is, and a response's head is what its target has sent.
func CheckSettings(p []byte) error {
	var seen [maxSettings]uint64
	for count := 0; len(p) > 0; count++ {
		id, n := ParseInteger(p)
		if n == 0 {
			return &ConnError{FrameError, "SETTINGS ends within a setting"}
		}
		value, more := ParseInteger(p[n:])
		switch {
		case more == 0:
			return &ConnError{FrameError, "SETTINGS ends within a setting"}
		case id == 0 || id >= 2 && id <= 5: // HTTP/2's (§7.2.4.1)
			return &ConnError{SettingsError, "SETTINGS has a setting of HTTP/2"}
		case (id == 0x8 || id == 0x33) && value > 1:
			return &ConnError{SettingsError, "SETTINGS has a switch that is neither 0 nor 1"}
		case count == maxSettings:
			return &ConnError{ExcessiveLoad, "SETTINGS has too many settings"}
		}
		for _, other := range seen[:count] {
			if other == id {
				return &ConnError{SettingsError, "SETTINGS has a setting twice"}
			}
		}
		seen[count] = id
		p = p[n+more:]
	}
	return nil
}
