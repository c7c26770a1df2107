package upstream

import (
	"fmt"
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// grpcNames are gRPC's statuses by number; ok isn't retried.
var grpcNames = [...]string{
	"ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied",
	"resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss",
	"unauthenticated",
}

func grpcNumber(name string) (n int, ok bool) {
	for i, known := range grpcNames {
		if name == known && i > 0 {
			return i, true
		}
	}
	return 0, false
}

// grpcSet is a set of statuses, a bit each.
type grpcSet uint32

func (c *GRPCConfig) retried() (s grpcSet) {
	for _, name := range c.RetryOn {
		if n, ok := grpcNumber(name); ok {
			s |= 1 << n
		}
	}
	return s
}

// askAnother returns the target that is asked in the place of one that has answered
// with a status which is retried, or nil. That answer is given up then.
func (c *Call) askAnother(p *Pool) *Target {
	if p.retryOn == 0 && p.retry == nil || c.Streaming || c.Only != nil || c.Attempts >= c.mostAttempts() {
		return nil
	}
	status, isGRPC := grpcFailure(&c.Response.Response)
	isGRPC = isGRPC && p.retryOn&(1<<status) != 0
	if !isGRPC && !c.retriesStatus() {
		return nil
	}
	t, err := p.pick(c.Key, c.tried[:c.Attempts])
	if err != nil || !c.pay() {
		return nil
	}
	failure := &c.answer
	if isGRPC {
		failure = c.fail(GRPCStatus, fmt.Errorf("it has answered with the status %s, which grpc.retry_on has", grpcNames[status]))
		c.Target.observe(outcome{kind: failed, err: failure})
	} else { // a whole response: it is counted as one
		*failure = Failure{Reason: StatusRetried, Target: c.Target, Err: statusErrors[c.Response.Status]}
	}
	c.Caller.Attempted(c.Target, failure)
	c.giveUpAnswer()
	c.pause()
	return t
}

// grpcFailure returns the status of an answer that is nothing else.
func grpcFailure(r *message.Response) (status int, ok bool) {
	value := r.Header.Value(grpcStatus)
	if r.Status != 200 || value == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(value))
	return n, err == nil && n > 0 && n < len(grpcNames)
}
