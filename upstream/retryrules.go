package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// retryRules are what a pool's section retry says; nil is what holds without one.
type retryRules struct {
	RetryConfig

	on       retryOn
	statuses StatusSet
	budget   *budget // the pool's, across generations
}

// rules resolves the section; nil for nil.
func (c *RetryConfig) rules(b *budget) *retryRules {
	if c == nil {
		return nil
	}
	r := &retryRules{RetryConfig: *c, budget: b}
	r.Attempts = min(max(r.Attempts, 1), MostAttempts)
	for _, word := range c.On {
		on, statuses, _ := retryCondition(word)
		r.on |= on
		for i := range statuses.bits {
			r.statuses.bits[i] |= statuses.bits[i]
		}
	}
	return r
}

// mostAttempts is how many attempts the call may have.
func (c *Call) mostAttempts() int {
	if c.pool.retry == nil {
		return maxAttempts
	}
	return c.pool.retry.Attempts
}

// repeatable reports whether the request may be sent again though a target may have
// begun with it.
func (c *Call) repeatable() bool {
	if c.Streaming {
		return false
	}
	rules := c.pool.retry
	if rules == nil {
		return c.Idempotent
	}
	for _, method := range rules.Methods {
		if string(c.Request.Method) == method {
			return true
		}
	}
	return false
}

// covers reports whether the rules have a failure like that.
func (r *retryRules) covers(f *Failure) bool {
	var on retryOn
	switch f.Reason {
	case ConnectFailed, ConnectTimeout, SendFailed:
		on = onConnect
	case Refused:
		on = onRefused
	case Overflow:
		on = onOverflow
	case NoResponse:
		if on = onNoResponse; errors.Is(f.Err, syscall.ECONNRESET) {
			on |= onReset
		}
	case ResetByTarget:
		on = onReset
	case ResponseTimeout:
		on = onTimeout
	}
	return r.on&on != 0 && !f.ours
}

// pay takes a retry of the pool's budget.
func (c *Call) pay() bool {
	r := c.pool.retry
	return r == nil || r.budget.take(socket.Nanotime(), r.Budget, r.MinRetriesPerSecond)
}

// pause waits before a retry but the first one, as far as the request has time for it.
func (c *Call) pause() {
	r := c.pool.retry
	if r == nil || c.Attempts < 2 || r.Backoff <= 0 {
		return
	}
	wait := min(r.Backoff.Std()<<(c.Attempts-2), r.MaxBackoff.Std())
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // G404: a wait is no secret
	if c.Expiry == 0 || socket.Nanotime()+int64(wait) < c.Expiry {
		c.sleep(wait)
	}
}

// sleeper is what a call waits on that nothing but time, or its end, is to wake.
type sleeper struct {
	timer *time.Timer
	wake  chan struct{} // holds one
}

var sleepers = sync.Pool{New: func() any { return &sleeper{newTimer(), make(chan struct{}, 1)} }}

// sleep waits for that long, or until the call is aborted.
func (c *Call) sleep(d time.Duration) {
	s := sleepers.Get().(*sleeper) //nolint:forcetypeassert // the pool holds nothing else
	c.mu.Lock()
	c.sleeping = s
	aborted := c.aborted != nil
	c.mu.Unlock()
	if !aborted {
		s.timer.Reset(d)
		select {
		case <-s.timer.C:
		case <-s.wake:
		}
		s.timer.Stop()
	}
	c.mu.Lock()
	c.sleeping = nil
	c.mu.Unlock()
	select {
	case <-s.wake:
	default:
	}
	sleepers.Put(s)
}

// headExpiry is until when a response's head is awaited: for an attempt, and, if it
// is the last one, for all of the time-out.
func (c *Call) headExpiry() int64 {
	full := expiry(c.now, c.Timeouts.ResponseHeader, c.Expiry)
	c.tryEnd = 0
	if r := c.pool.retry; r != nil && r.PerTryTimeout > 0 && c.Only == nil && c.Attempts < r.Attempts && c.repeatable() {
		if at := c.now + int64(r.PerTryTimeout); full == 0 || at < full {
			c.tryEnd = at
			return at
		}
	}
	return full
}

// waitsOn reports whether an attempt whose own time is up is waited for all the same,
// since nobody can be asked in its place, and for how long. Else, if err is that its
// time is up, c.next is the target that can.
func (c *Call) waitsOn(err error) (until int64, ok bool) {
	if c.tryEnd == 0 || !isTimeout(err) || c.Aborted() != nil {
		return 0, false
	}
	c.tryEnd = 0
	if now := socket.Nanotime(); c.Expiry != 0 && now >= c.Expiry {
		return 0, false
	}
	if t, err := c.pool.pick(c.Key, c.tried[:c.Attempts]); err == nil && c.pay() {
		c.next = t
		return 0, false
	}
	return expiry(c.now, c.Timeouts.ResponseHeader, c.Expiry), true
}

// statusError is why an answer is given up.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("it has answered with the status %d, which retry.on has", int(e))
}

// statusErrors are those of each status, so that none is made for a request.
var statusErrors = func() (list [maxStatus + 1]error) {
	for i := range list {
		list[i] = statusError(i)
	}
	return list
}()

// retriesStatus reports whether the answer's status has another target asked.
func (c *Call) retriesStatus() bool {
	r := c.pool.retry
	return r != nil && r.statuses.Contains(c.Response.Status) && c.repeatable()
}

// giveUpAnswer ends an answer that another target's takes the place of. What has come
// of a short one is read, so that the connection is kept.
func (c *Call) giveUpAnswer() {
	for range 4 {
		if c.Body.Done() || !c.Body.Ready() {
			break
		}
		if _, err := c.Body.Next(); err != nil {
			break
		}
	}
	c.End(true)
}
