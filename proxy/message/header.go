package message

import "encoding/binary"

// ID names the fields that the gateway itself looks at, so that a header is
// compared with their names once, when it is parsed.
type ID uint8

// The known fields. Unknown is every other one.
const (
	Unknown ID = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	TE
	Trailer
	Upgrade
	KeepAlive
	ProxyAny      // any name that starts with Proxy-, and Proxy itself
	HTTP2Settings // only ever sent to ask for h2c
	Expect
	Accept
	AcceptEncoding
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedAny // any other name that starts with X-Forwarded-, underscores taken for hyphens
	Forwarded
	Via
	XRequestID
	ContentEncoding
	ContentType
	CacheControl
	ETag
	Vary
	MaxForwards
	XGatewayError
	XGatewayHops
	IfNoneMatch
	idCount
)

// IDs is a set of them.
type IDs uint64

var _ [64 - idCount]struct{} // they fit

// SetOf returns the set of these.
func SetOf(ids ...ID) (s IDs) {
	for _, id := range ids {
		s = s.With(id)
	}
	return s
}

// With returns the set with one more.
func (s IDs) With(id ID) IDs { return s | 1<<(id&63) }

// Has reports whether an ID is in the set.
func (s IDs) Has(id ID) bool { return s&(1<<(id&63)) != 0 }

// names holds the lower-case names of those that are one name.
var names = [idCount]string{
	Host: "host", Connection: "connection", ContentLength: "content-length",
	TransferEncoding: "transfer-encoding", TE: "te", Trailer: "trailer", Upgrade: "upgrade",
	KeepAlive: "keep-alive", HTTP2Settings: "http2-settings", Expect: "expect", Accept: "accept",
	AcceptEncoding: "accept-encoding", XForwardedFor: "x-forwarded-for",
	XForwardedProto: "x-forwarded-proto", XForwardedHost: "x-forwarded-host",
	Forwarded: "forwarded", Via: "via", XRequestID: "x-request-id",
	ContentEncoding: "content-encoding", ContentType: "content-type",
	CacheControl: "cache-control", ETag: "etag", Vary: "vary",
	MaxForwards: "max-forwards", XGatewayError: "x-gateway-error", XGatewayHops: "x-gateway-hops",
	IfNoneMatch: "if-none-match",
}

// folded is a name in lower case, to be compared eight bytes at a time; the first and
// the last may be the same in part. Those of the known names take little of the
// processor's cache together.
type folded struct {
	length              int
	first, middle, last uint64
}

// fold folds a name of at most 24 bytes.
func fold(name []byte) (f folded) {
	n := len(name)
	f.length = n
	switch {
	case n >= 8:
		f.first, f.last = lower(binary.LittleEndian.Uint64(name)), lower(binary.LittleEndian.Uint64(name[n-8:]))
		if n > 16 {
			f.middle = lower(binary.LittleEndian.Uint64(name[8:]))
		}
	case n >= 4:
		f.first = lower(uint64(binary.LittleEndian.Uint32(name)) | uint64(binary.LittleEndian.Uint32(name[n-4:]))<<32)
	default:
		f.first = lower(uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16)
	}
	return f
}

// lower makes the ASCII letters of a word lower case.
func lower(word uint64) uint64 {
	low := word &^ highs
	upper := (low + (0x80-'A')*ones) &^ (low + (0x7f-'Z')*ones) &^ word & highs
	return word | upper>>2
}

var foldedNames = func() (list [idCount]folded) {
	for id, name := range names {
		if name != "" {
			list[id] = fold([]byte(name))
		}
	}
	return list
}()

// byShape has the known names of each shape, of which few have one together.
var byShape = func() (t [shapes][2]ID) {
	for id, name := range names {
		if name == "" {
			continue
		}
		at := &t[shape([]byte(name))]
		switch {
		case at[0] == Unknown:
			at[0] = ID(id)
		case at[1] == Unknown:
			at[1] = ID(id)
		default:
			panic("BUG: three known names of fields have one shape: " + name)
		}
	}
	return t
}()

// shape mixes a name's length with two of its letters, whatever their case.
func shape(name []byte) uint {
	n := uint(len(name))
	return (6*n + uint(name[0]&0x1f) + uint(name[n/2]&0x1f)) % shapes
}

const shapes = 128

// Field is one header line. Name and Value are often views into what was
// received.
type Field struct {
	Name, Value []byte
	ID          ID
	// Dropped marks a field that must not be passed on, because the
	// Connection field of its message names it (RFC 9110 §7.6.1).
	Dropped bool
	// Added marks a field that Header.Add has put beside others of its name.
	Added bool
}

// Header is a list of fields in the order in which they came.
type Header []Field

// Get returns the value of the first field with that ID, or nil.
func (h Header) Get(id ID) []byte {
	for i := range h {
		if h[i].ID == id {
			return h[i].Value
		}
	}
	return nil
}

// Has reports whether a field with that ID is present.
func (h Header) Has(id ID) bool {
	for i := range h {
		if h[i].ID == id {
			return true
		}
	}
	return false
}

// Identify returns the ID of a name, which is not empty.
func Identify(name []byte) ID {
	for _, id := range &byShape[shape(name)] {
		if id == Unknown {
			break
		}
		if known := &foldedNames[id]; len(name) == known.length && fold(name) == *known {
			return id
		}
	}
	switch first := name[0] | 0x20; {
	case first == 'x' && isForwarded(name):
		return XForwardedAny
	case first == 'p' && (len(name) >= 6 && EqualFold(name[:6], "proxy-") || EqualFold(name, "proxy")):
		return ProxyAny
	}
	return Unknown
}

// isForwarded finds X-Forwarded itself, and any name that starts with
// X-Forwarded- when underscores are taken for hyphens, as CGI programs do.
func isForwarded(name []byte) bool {
	const prefix = "x-forwarded-"
	if len(name) < len(prefix)-1 {
		return false
	}
	for i := range min(len(name), len(prefix)) {
		c := name[i]
		if c == '_' {
			c = '-'
		} else if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// EqualFold compares a token with a lower-case one, ignoring ASCII case.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if l := lower[i]; c != l && (c|0x20 != l || c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// NextToken cuts the first element off a comma-separated list (RFC 9110
// §5.6.1), skipping empty ones; it is nil when none is left.
func NextToken(list []byte) (token, rest []byte) {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		token = Trim(list[:end])
		list = list[min(end+1, len(list)):]
		if len(token) > 0 {
			return token, list
		}
	}
	return nil, nil
}

// HasToken reports whether a comma-separated list has that lower-case token.
func HasToken(list []byte, lower string) bool {
	for token, rest := NextToken(list); token != nil; token, rest = NextToken(rest) {
		if EqualFold(token, lower) {
			return true
		}
	}
	return false
}

// Trim drops optional white space (RFC 9110 §5.6.3) on both sides.
func Trim(b []byte) []byte {
	from, to := 0, len(b)
	for from < to && (b[from] == ' ' || b[from] == '\t') {
		from++
	}
	for from < to && (b[to-1] == ' ' || b[to-1] == '\t') {
		to--
	}
	return b[from:to]
}
