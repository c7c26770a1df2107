package upstream

import (
	"fmt"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// settingText names a setting with its value, as it stands in a file.
func settingText(key string, value time.Duration) string {
	return fmt.Sprintf("%s (%s)", key, settings.Duration(value))
}

// endedBy says which setting has ended the call; it returns f.
func (f *Failure) endedBy(setting string) *Failure {
	f.Setting = setting
	return f
}

// outOfTime is a failure of a request whose own time is up before a target could be
// asked.
func (c *Call) outOfTime(err error) *Failure {
	f := c.fail(ResponseTimeout, err)
	f.ours = true
	return f.endedBy("no connection within " + settingText(c.Timeouts.TotalKey, c.Timeouts.Total))
}

// reachedTimeout says which of the time-outs has passed while the response's head was
// awaited, or, if it isn't sent yet, the request was.
func (c *Call) reachedTimeout(sent bool) string {
	switch {
	case c.next != nil:
		return "no response within " + settingText("retry.per_try_timeout", c.pool.retry.PerTryTimeout.Std())
	case c.Expiry != 0 && socket.Nanotime() >= c.Expiry:
		return "no complete response within " + settingText(c.Timeouts.TotalKey, c.Timeouts.Total)
	case !sent:
		return "it has taken nothing of the request for " + settingText("timeouts.idle", c.Timeouts.Idle)
	}
	return "no response within " + settingText("timeouts.response_header", c.Timeouts.ResponseHeader)
}

// Paused says which time-out has passed while the response's body was awaited.
func (c *Call) Paused() string {
	if c.Expiry != 0 && socket.Nanotime() >= c.Expiry {
		return fmt.Sprintf("target %q: the response was not complete within %s", c.Target.Name(), settingText(c.Timeouts.TotalKey, c.Timeouts.Total))
	}
	return fmt.Sprintf("target %q: it has sent nothing for %s", c.Target.Name(), settingText("timeouts.idle", c.Timeouts.Idle))
}

// overflowSetting says which limit refuses a request at once.
func (t *tuning) overflowSetting() string {
	return fmt.Sprintf("connections.max_per_target (%d) are in use, and connections.max_pending (%d) requests wait for one",
		t.maxConns, t.maxInFlight-int64(t.maxConns))
}

// pendingSetting says which limit has ended the wait for a connection.
func (t *tuning) pendingSetting() string {
	return fmt.Sprintf("connections.max_per_target (%d) were in use for %s", t.maxConns, settingText("connections.pending_timeout", t.pendingTimeout))
}
