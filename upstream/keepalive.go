package upstream

import (
	"bytes"
	"strconv"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// A target may say how long it keeps a connection that nobody uses, and for how
// many requests: "Keep-Alive: timeout=5, max=100" (RFC 2068 §19.7.1.1). Node's
// default is 5 s. A request that is sent as the target closes is lost, and if
// it may not be sent twice it is answered with an error. So the gateway gives a
// connection up before the target does.

// keepMargin is how long before its target's time-out a connection is given
// up; of less than twice that, half is used.
const keepMargin = time.Second

// keptFor reads the Keep-Alive fields of a response. It is false where the
// connection is not to be used again; 0 is without a limit.
func keptFor(h message.Header) (limit time.Duration, ok bool) {
	for i := range h {
		if h[i].ID != message.KeepAlive {
			continue
		}
		for parameter, rest := message.NextToken(h[i].Value); parameter != nil; parameter, rest = message.NextToken(rest) {
			name, value, _ := bytes.Cut(parameter, []byte{'='})
			n, err := strconv.ParseUint(string(bytes.Trim(value, "\" \t")), 10, 31)
			if err != nil {
				continue
			}
			switch name = bytes.TrimSpace(name); {
			case message.EqualFold(name, "max") && n == 0, message.EqualFold(name, "timeout") && n == 0:
				return 0, false
			case message.EqualFold(name, "timeout"):
				limit = time.Duration(n) * time.Second
				limit -= min(keepMargin, limit/2)
			}
		}
	}
	return limit, true
}

// noteKeepAlive remembers until when the connection may be used again. It is
// false where it may not at all.
func (c *Conn) noteKeepAlive(r *http1.Response) bool {
	c.until = 0
	if !r.Came(message.KeepAlive) {
		return true
	}
	limit, ok := keptFor(r.Header)
	if limit > 0 {
		c.until = socket.Nanotime() + int64(limit)
	}
	return ok
}

// expired reports whether the target is about to close the connection.
func (c *Conn) expired(now int64) bool { return c.until != 0 && now >= c.until }
