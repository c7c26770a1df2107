package exchange

import (
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

const (
	// TotalKey is the setting of Tenant.Total.
	TotalKey        = "timeouts.total"
	scriptsTotalKey = "lua.total_timeout"
	grpcTotalKey    = "the request's grpc-timeout"
)

// boundCall bounds the call as a whole: by the total time-out of the tenant or of the
// route, by that of scripts while they run, and by what a gRPC client has asked for.
func (x *exchange) boundCall() {
	limit, _ := x.total()
	if total := x.Tenant.ScriptsTotal; x.script.runs && total > 0 && (limit == 0 || total < limit) {
		limit = total
	}
	if x.grpcLimit > 0 && (limit == 0 || x.grpcLimit < limit) {
		limit = x.grpcLimit
	}
	if x.call.Expiry = 0; limit > 0 {
		x.call.Expiry = x.Start + int64(limit)
	}
}

// nameTotal says which setting bounds the call as a whole.
func (x *exchange) nameTotal() {
	t := x.Tenant
	if total := t.ScriptsTotal; t.Scripts != nil && total > 0 && x.call.Expiry == x.Start+int64(total) {
		x.call.Timeouts.Total, x.call.Timeouts.TotalKey = total, scriptsTotalKey
		return
	}
	if limit := x.grpcLimit; limit > 0 && x.call.Expiry == x.Start+int64(limit) {
		x.call.Timeouts.Total, x.call.Timeouts.TotalKey = limit, grpcTotalKey
		return
	}
	x.call.Timeouts.Total, x.call.Timeouts.TotalKey = x.total()
}

// late reports whether the time that the call may take as a whole has passed.
func (x *exchange) late() bool { return x.call.Expiry != 0 && socket.Nanotime() >= x.call.Expiry }

// explain returns what the log says of a fault: err, unless that is only the
// fault itself and a setting, with its value, says more.
func (x *exchange) explain(fault *Fault, err error) error {
	if known, ok := errors.AsType[*caused](err); ok {
		return known.why
	}
	if x.Tenant != nil {
		x.nameTotal()
	}
	limits, timeouts := &x.bounds.limits, &x.bounds.timeouts
	switch fault {
	case SlowHead:
		return setting("the header section was not complete within server.timeouts.header (%s)", x.Generation.HeaderTimeout)
	case SpokePROXY:
		return errors.New("a header of the PROXY protocol came where a request was expected: proxy_protocol.from of the listener names who may begin with one, and this client isn't in it, or has sent two")
	case faultSlowBody:
		return fmt.Errorf("nothing of the body came for %s (%s), or less than %s (%s) asks for",
			x.bounds.key("body_idle"), timeouts.BodyIdle, x.bounds.key("min_rate"), timeouts.MinRate)
	case faultRequestTimeout:
		return fmt.Errorf("the request was not complete within %s (%s)", x.call.Timeouts.TotalKey, settings.Duration(x.call.Timeouts.Total))
	case faultHeaderTooLarge:
		return fmt.Errorf("more than request_limits.max_header_size (%s) or 256 lines", limits.MaxHeaderSize)
	case faultURLTooLong:
		return setting("more than request_limits.max_url_size (%s)", limits.MaxURLSize)
	case faultBodyTooLarge:
		if r := x.taken(); r != nil && r.MaxBody > 0 {
			return fmt.Errorf("more than %s.max_body_size (%s)", r.Place, settings.Size(r.MaxBody))
		}
		if x.Tenant != nil && x.Tenant.Scripts != nil {
			return fmt.Errorf("more than request_limits.max_body_size (%s), or lua.max_body (%s) where a script reads it", limits.MaxBodySize, x.Tenant.Config.Lua.MaxBody)
		}
		return setting("more than request_limits.max_body_size (%s)", limits.MaxBodySize)
	}
	return err
}

func setting(format string, value fmt.Stringer) error { return fmt.Errorf(format, value) }

// cutCause says why a response that had begun was cut.
func (x *exchange) cutCause(err error) error {
	switch x.Code {
	case codeSlowClient:
		return fmt.Errorf("the client has taken nothing for %s (%s), or less than %s (%s) asks for, or the request took longer than timeouts.total",
			x.bounds.key("write_idle"), x.bounds.timeouts.WriteIdle, x.bounds.key("min_rate"), x.bounds.timeouts.MinRate)
	case codeSlowResponse, codeResponseCut:
		return x.pausedCause(err)
	}
	if wrong, ok := errors.AsType[*webFault](err); ok {
		return fmt.Errorf("target %q: %w", x.call.Target.Name(), wrong.why)
	}
	return err
}

// pausedCause says why a target's body could not be read to its end.
func (x *exchange) pausedCause(err error) error {
	if errors.Is(err, socket.ErrTimeout) {
		return errors.New(x.call.Paused())
	}
	return fmt.Errorf("target %q: %w", x.call.Target.Name(), err)
}

func (x *exchange) tunnelCause() error {
	return fmt.Errorf("target %q: nothing moved in the tunnel for timeouts.idle (%s)", x.call.Target.Name(), settings.Duration(x.call.Timeouts.Idle))
}
