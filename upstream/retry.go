package upstream

import (
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// maxAttempts bounds the targets that one request may try where the pool says
// nothing.
const maxAttempts = 2

// Do sends the request to a target of p. On success the response head has
// been read and Body can be; the caller must End the call. The error is a
// *Failure, and then nothing is left to end.
func (c *Call) Do(p *Pool) error {
	if c.Start == 0 {
		c.Start = socket.Nanotime()
	}
	c.now, c.pool = c.Start, p
	if p.retry != nil {
		p.retry.budget.request(c.now)
	}
	t, err := c.pick(p, nil)
	if errors.Is(err, ErrDrained) {
		return &Failure{Reason: NoTarget, Err: err}
	}
	if err != nil {
		return c.noTarget(p)
	}
	for {
		if err := c.Aborted(); err != nil {
			return c.fail(Aborted, err)
		}
		c.tried[c.Attempts] = t
		if c.Attempts++; c.Attempts > 1 {
			t.Retries.Add(1)
			c.now = socket.Nanotime()
		}
		failure := c.attempt(t)
		if failure == nil {
			c.HeadAt = socket.Nanotime()
			t.observe(outcome{kind: responded, status: c.Response.Status, took: c.HeadAt - c.now})
			if t = c.askAnother(p); t != nil {
				continue
			}
			c.Caller.Attempted(c.Target, nil)
			c.HeaderTime = time.Duration(c.HeadAt - c.Start)
			c.Target.latency.note(c.HeadAt-c.now, c.HeadAt)
			return nil
		}
		t.observe(outcome{kind: failed, err: failure})
		if failure.ofTarget() {
			now := socket.Nanotime()
			t.latency.note(now-c.now, now)
		}
		c.Caller.Attempted(t, failure)
		if t = c.another(p, failure); t == nil {
			return failure
		}
	}
}

// another returns the target that is asked after a failure, or nil.
func (c *Call) another(p *Pool, failure *Failure) *Target {
	if t := c.next; t != nil { // found, and paid for, when the attempt was given up
		c.next = nil
		c.pause()
		return t
	}
	if c.Attempts >= c.mostAttempts() || !c.mayRetry(failure) {
		return nil
	}
	t, err := c.pick(p, failure)
	if err != nil || !c.pay() {
		return nil
	}
	c.pause()
	return t
}

// pick returns the target of the next attempt: after a failure another one,
// or the same where only a connection had failed.
func (c *Call) pick(p *Pool, failure *Failure) (*Target, error) {
	if c.Only != nil {
		if !c.Only.Healthy() || failure != nil && !failure.sameAgain() {
			return nil, ErrNoHealthyTarget
		}
		return c.Only, nil
	}
	t, err := p.pick(c.Key, c.tried[:c.Attempts])
	if err != nil && failure != nil && failure.sameAgain() && failure.Target.Healthy() {
		return failure.Target, nil
	}
	return t, err
}

// sameAgain reports whether the target itself may be asked again at once: only a
// kept connection has failed, or one that takes no more requests.
func (f *Failure) sameAgain() bool { return f.keptConn || f.Reason == Refused }

// mayRetry applies RFC 9110 §9.2.2: a request of which nothing was sent, or
// one that may be sent twice and has had no answer.
func (c *Call) mayRetry(f *Failure) bool {
	if r := c.pool.retry; r != nil && !r.covers(f) {
		return false
	}
	if f.Reason == Refused {
		return !c.Streaming // a part of the body may have been sent, which is gone
	}
	return f.unsent() || (f.Reason == NoResponse || c.pool.retry != nil) && c.repeatable()
}

// unsent reports that no target has looked at the request.
func (f *Failure) unsent() bool { return f.Reason <= Overflow && f.Reason != NoTarget }
