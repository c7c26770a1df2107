package exchange

import (
	"errors"
	"net"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// CutReason says whose doing it is that a response was cut, or is missing.
type CutReason uint8

// The reasons.
const (
	CutByGateway CutReason = iota // it has failed, or a script or policy of the tenant
	CutByTarget                   // its response has ended, or paused, before its time
	CutByClient                   // it has gone, takes nothing, or has sent a body that is none
	CutByTime                     // the request as a whole took too long
	CutByDrain                    // the gateway stops
	CutByMemory                   // the tenant holds more than there is
)

// Codes of what can go wrong once a response has begun: they stand in the log
// only.
const (
	codeResponseCut   = "upstream_response_cut"
	codeSlowResponse  = "upstream_idle_timeout"
	codeSlowClient    = "client_write_timeout"
	codeTunnelTimeout = "tunnel_idle_timeout"
)

// cutFor marks the response as cut because of what has that code.
func (x *exchange) cutFor(code string) {
	x.state, x.cutReason = cut, cutReasonOf(code)
	if (code == codeSlowResponse || code == codeSlowClient) && x.late() {
		x.cutReason = CutByTime // which bounds what both wait for
	}
}

func cutReasonOf(code string) CutReason {
	switch code {
	case codeResponseCut, codeSlowResponse, faultBadResponse.Code, faultResponseTimeout.Code, faultSend.Code, faultRefused.Code, faultReset.Code:
		return CutByTarget
	case codeSlowClient, faultClientGone.Code, faultSlowBody.Code, faultBadBody.Code, faultBodyTooLarge.Code:
		return CutByClient
	case faultRequestTimeout.Code:
		return CutByTime
	case Drained.Code:
		return CutByDrain
	case OutOfMemory.Code:
		return CutByMemory
	}
	return CutByGateway
}

// cutCode names what cut a response short, for the log.
func (x *exchange) cutCode(err error) string {
	slow := errors.Is(err, socket.ErrTimeout)
	fault, isFault := errors.AsType[*Fault](err)
	switch {
	case x.plane.Draining() && (errors.Is(err, Drained) || errors.Is(err, net.ErrClosed)):
		return Drained.Code
	case isFault:
		return fault.Code
	case errors.Is(err, ErrClientGone):
		return faultClientGone.Code
	case errors.As(err, new(*clientError)) && slow:
		return codeSlowClient
	case errors.As(err, new(*clientError)):
		return faultClientGone.Code
	case slow:
		return codeSlowResponse
	}
	return codeResponseCut
}
