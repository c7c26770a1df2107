package exchange

import (
	"bytes"
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// A gRPC client takes what goes wrong from grpc-status alone: to it, each answer
// that came at all has the status 200. So the gateway's own errors are told that
// way to requests that are gRPC's by their Content-Type, whatever they came over.

// grpcCode is a status of gRPC.
type grpcCode uint8

const (
	grpcUnknown           grpcCode = 2
	grpcInvalidArgument   grpcCode = 3
	grpcDeadlineExceeded  grpcCode = 4
	grpcPermissionDenied  grpcCode = 7
	grpcResourceExhausted grpcCode = 8
	grpcUnimplemented     grpcCode = 12
	grpcInternal          grpcCode = 13
	grpcUnavailable       grpcCode = 14
	grpcUnauthenticated   grpcCode = 16
	grpcCancelled         grpcCode = 1
)

// grpcCodes are those of faults whose HTTP status says too little.
var grpcCodes = map[string]grpcCode{
	faultBadResponse.Code: grpcInternal, faultReset.Code: grpcInternal,
	faultConnectTimeout.Code: grpcUnavailable, // nothing was sent: it may be tried again
	codeResponseCut:          grpcUnavailable, codeSlowResponse: grpcDeadlineExceeded,
}

// grpcCodeOf translates a fault, or what has cut a response.
func grpcCodeOf(status int, code string) grpcCode {
	if known, ok := grpcCodes[code]; ok {
		return known
	}
	switch status {
	case 400, 417:
		return grpcInvalidArgument
	case 401:
		return grpcUnauthenticated
	case 403, 407:
		return grpcPermissionDenied
	case 404, 405, 421:
		return grpcUnimplemented
	case 408, 504:
		return grpcDeadlineExceeded
	case 413, 414, 429, 431:
		return grpcResourceExhausted
	case 499:
		return grpcCancelled
	case 500:
		return grpcInternal
	case 502, 503:
		return grpcUnavailable
	}
	return grpcUnknown
}

var (
	grpcType    = []byte("application/grpc")
	grpcStatus  = []byte("Grpc-Status")
	grpcMessage = []byte("Grpc-Message")
	grpcTimeout = []byte("Grpc-Timeout")
)

// isGRPC reports whether a header has gRPC's Content-Type, such as
// application/grpc+proto; gRPC-Web, which is another protocol, not.
func isGRPC(h message.Header) bool { return isGRPCType(h.Get(message.ContentType)) }

func isGRPCType(media []byte) bool {
	rest, ok := bytes.CutPrefix(media, grpcType)
	return ok && (len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == ' ')
}

// speaksGRPC reports whether the client does.
func (x *exchange) speaksGRPC() bool {
	return x.Message.Came(message.ContentType) && isGRPC(x.Message.Header)
}

// mostGRPCTimeout bounds what a client may ask for: beyond it there is none.
const mostGRPCTimeout = 30 * 24 * time.Hour

var grpcUnits = [...]struct {
	letter byte
	unit   time.Duration
}{{'H', time.Hour}, {'M', time.Minute}, {'S', time.Second}, {'m', time.Millisecond}, {'u', time.Microsecond}, {'n', time.Nanosecond}}

// parseGRPCTimeout reads a value such as 100m: at most eight digits and a unit.
func parseGRPCTimeout(value []byte) (time.Duration, bool) {
	if len(value) < 2 || len(value) > 9 {
		return 0, false
	}
	n := int64(0)
	for _, c := range value[:len(value)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	for _, u := range grpcUnits {
		if u.letter == value[len(value)-1] {
			return time.Duration(n * int64(u.unit)), n <= int64(mostGRPCTimeout/u.unit)
		}
	}
	return 0, false
}

// explainGRPC makes the response tell a gRPC client of a fault: trailers only,
// which are the header of a response without content.
func (x *exchange) explainGRPC(fault *Fault) {
	r := &x.response
	r.Local = append(r.Local, fault.header...)
	x.local(200, string(grpcType), nil)
	r.Fault = true
	code := grpcCodeOf(fault.Status, fault.Code)
	r.Local.Set(grpcStatus, code.text())
	r.Local.Set(grpcMessage, appendGRPCMessage(nil, fault.Code, fault.Message))
}

func (c grpcCode) text() []byte {
	if c < 10 {
		return []byte{'0' + byte(c)}
	}
	return []byte{'1', '0' + byte(c)%10}
}

// appendGRPCMessage appends "code: message", percent-encoded as gRPC has it.
func appendGRPCMessage(dst []byte, code, message string) []byte {
	const hex = "0123456789ABCDEF"
	for _, part := range [...]string{code, ": ", message} {
		for i := range len(part) {
			if c := part[i]; c >= ' ' && c <= '~' && c != '%' {
				dst = append(dst, c)
			} else {
				dst = append(dst, '%', hex[c>>4], hex[c&15])
			}
		}
	}
	return dst
}

// endGRPC ends a gRPC response that could not be completed with a status that
// says so, in place of a cut, and reports whether that was possible: a client
// that can be sent trailers must be able to tell that they are the whole truth.
func (x *exchange) endGRPC(to encoded, err error) bool {
	r := &x.call.Response
	if errors.As(err, new(*clientError)) || errors.Is(err, ErrClientGone) || x.head.Length != message.Unsized || !x.Message.Unsized || !x.speaksGRPC() || !isGRPC(r.Header) {
		return false
	}
	fault := &Fault{Code: x.Code, Message: "the target has not sent the whole response"}
	if known, ok := errors.AsType[*Fault](err); ok {
		fault = known
	}
	if x.late() {
		fault = faultRequestTimeout
	}
	code := grpcCodeOf(fault.Status, fault.Code)
	trailer := message.Header{
		{Name: grpcStatus, Value: code.text()},
		{Name: grpcMessage, Value: appendGRPCMessage(nil, fault.Code, fault.Message)},
	}
	x.stream.Bound(x.bounds.writeIdle, x.bounds.minRate, 0) // the end of the request doesn't bound what says so
	return to.end(trailer) == nil
}
