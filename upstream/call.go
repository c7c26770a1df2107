package upstream

import (
	"errors"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

const (
	// maxInterim bounds the informational responses before the final one.
	maxInterim = 32
	// maxResponseHead bounds a response head, in bytes.
	maxResponseHead = 64 << 10
	// smallPayload is the largest body that is copied behind its head.
	smallPayload = 2 << 10
	// keepHead is the largest scratch buffer that a Call keeps for later.
	keepHead = 8 << 10
)

var errTooManyInterim = errors.New("too many informational responses")

// Caller is whose a Call is: it sends a streamed body, and is told what comes.
type Caller interface {
	// Upload starts the sending of a streamed body, by the Call's Sender; it is
	// called once the head has been written, and must not block. It must end when
	// the call is aborted.
	Upload()
	// StopUpload ends the upload, if one runs, and waits for its end.
	StopUpload()
	// Interim is shown each informational response but 100 and 101.
	Interim(r *message.Response) error
	// Attempted is told of each attempt that has ended: with a response head, or
	// with a failure.
	Attempted(t *Target, failure error)
}

// Call is one request through a pool: pick a target, send, read the response
// head, and retry where that can do no harm. It is reused: Reset, fill in,
// Do, read the body, End.
type Call struct {
	// Filled in by the caller.
	Caller Caller
	// Request is sent with the target's address before its path, and as its
	// authority where it has none of its own. With Continue, the body is withheld
	// until the target has said 100 Continue.
	Request    *message.Sent
	Payload    []byte // all of a body that is not streamed
	Timeouts   Timeouts
	Start      int64          // when the call begins (socket.Nanotime); 0 is at Do
	Expiry     int64          // socket.Nanotime at which the whole request ends; 0 is never
	Idempotent bool           // RFC 9110 §9.2.2
	Key        uint64         // for pickers: requests of one key belong together; 0 is none
	Only       *Target        // the one to use, if not nil
	Allowance  *memory.Charge // of the large buffers that a response is read through; nil grants all
	// Introduction is what targets are told of the client that ask for that; nil is
	// that nothing is known of it.
	Introduction *Introduction
	Streaming    bool // the body is streamed by Caller.Upload, so it can't be sent twice

	// Filled in by Do, also when it fails.
	Target      *Target
	Attempts    int
	ConnectTime time.Duration // of a connection opened for this request
	HeaderTime  time.Duration // from Start to the response head
	HeadAt      int64         // when the response head was there (Nanotime)

	// Filled in by Do when it succeeds. They are views into the Call's memory.
	Conn     *Conn // nil over HTTP/2
	Response http1.Response
	Body     Body

	stream  *streams.Stream // nil over HTTP/1
	sending sending

	mu      sync.Mutex
	conn    sending // what Abort must reach
	aborted error

	pool     *Pool
	next     *Target  // which is asked in the place of the one that was given up
	sleeping *sleeper // guarded by mu
	tryEnd   int64    // when the attempt under way has had its time; 0 is never
	answer   Failure  // of an answer whose status is retried

	tried     [MostAttempts]balance.Target // one an attempt
	now       int64                        // when the clock was looked at last
	head, out []byte
	header    []byte // of the PROXY protocol
}

// Timeouts are a tenant's upstream timeouts; 0 is none.
type Timeouts struct {
	Connect, ResponseHeader, Idle time.Duration
	// Total is what Call.Expiry is made of, and TotalKey its setting's name; for
	// messages only.
	Total    time.Duration
	TotalKey string
}

// Reset makes c ready for another request and keeps its memory.
func (c *Call) Reset() {
	c.Caller, c.Request, c.Payload, c.Timeouts, c.Start, c.Expiry, c.now = nil, nil, nil, Timeouts{}, 0, 0, 0
	c.Idempotent, c.Streaming, c.Key, c.Only, c.Allowance, c.Introduction = false, false, 0, nil, nil, nil
	c.Target, c.Attempts, c.ConnectTime, c.HeaderTime, c.HeadAt = nil, 0, 0, 0, 0
	c.Conn, c.stream, c.conn, c.aborted, c.tried = nil, nil, sending{}, nil, [MostAttempts]balance.Target{}
	c.pool, c.next, c.sleeping, c.tryEnd, c.answer = nil, nil, nil, 0, Failure{}
	c.sending = sending{}
	c.Response.Reset()
	c.Body.Reset(nil, http1.NoBody, 0)
	c.Body.stream = nil
	c.head, c.out, c.header = shrink(c.head), shrink(c.out), shrink(c.header)
}

func shrink(b []byte) []byte {
	if cap(b) > keepHead {
		return nil
	}
	return b[:0]
}

// attempt sends the request to one target and reads the response head.
func (c *Call) attempt(t *Target) (failure *Failure) {
	c.Target = t
	if !t.Begin() {
		return c.fail(Overflow, nil).endedBy(t.tuned.Load().overflowSetting())
	}
	var conn *Conn
	kept := false  // the connection, for the caller to End
	defer func() { // also when Caller panics
		if kept {
			return
		}
		if conn != nil {
			c.Caller.StopUpload()
			c.detach()
			conn.release(false)
		}
		t.End()
	}()
	if p := t.sharedConns(c.now); p != nil {
		if failure, ok := c.attemptShared(t, p); ok {
			kept = failure == nil
			return failure
		}
	}
	for {
		if conn, failure = c.connect(t); failure != nil {
			return failure
		}
		failure = c.ask(conn)
		if failure == nil {
			kept = true
			return nil
		}
		if !errors.Is(failure.Err, socket.ErrStale) {
			failure.keptConn = conn.used
			return failure
		}
		c.detach() // nothing was written: another kept connection, or a new one
		conn.release(false)
		conn = nil
	}
}

// connect acquires a connection and makes it the one that Abort reaches.
func (c *Call) connect(t *Target) (*Conn, *Failure) {
	wait, clipped := c.Timeouts.Connect, false
	if c.Expiry != 0 {
		left := time.Duration(c.Expiry - c.now)
		if left <= 0 {
			return nil, c.outOfTime(socket.ErrTimeout)
		}
		if wait <= 0 || left < wait {
			wait, clipped = left, true
		}
	}
	small := !c.Streaming && len(c.Payload) <= smallPayload // one that send sends at once
	conn, err := c.acquire(t, wait, small)
	c.now = socket.Nanotime()
	if err != nil {
		return nil, c.unconnected(t, err, clipped)
	}
	if !conn.used {
		c.ConnectTime = conn.connectTime
	}
	if c.Allowance != nil {
		conn.Reader.Allowance = c.Allowance
	}
	if err := c.attach(conn); err != nil {
		conn.release(true) // untouched
		return nil, c.fail(Aborted, err)
	}
	return conn, nil
}

// unconnected classifies why there is no connection. clipped says that the
// request's own time was less than the target may take.
func (c *Call) unconnected(t *Target, err error, clipped bool) *Failure {
	switch {
	case c.Aborted() != nil:
		return c.fail(Aborted, c.Aborted())
	case clipped && isTimeout(err): // the request's own time is up; the target has not had its chance
		return c.outOfTime(err)
	case isOverflow(err):
		return c.fail(Overflow, err).endedBy(t.tuned.Load().pendingSetting())
	case isLocal(err):
		return c.fail(Overflow, err)
	}
	t.observe(outcome{kind: unreachable, err: err})
	if isTimeout(err) {
		return c.fail(ConnectTimeout, err)
	}
	return c.fail(ConnectFailed, err)
}

// acquire returns a connection for the call's client.
func (c *Call) acquire(t *Target, wait time.Duration, small bool) (*Conn, error) {
	if version := t.tuned.Load().introduces; version != 0 {
		return t.acquireIntroduced(c.introduction(version), wait, c.now)
	}
	return t.acquire(wait, small, c.now)
}

// ask writes the request and reads the response head.
func (c *Call) ask(conn *Conn) *Failure {
	address := &c.Target.address
	c.out = http1.AppendRequest(c.out[:0], c.Request, address.BasePath, address.Authority)
	payload := c.Payload
	if len(payload) <= smallPayload {
		c.out, payload = append(c.out, payload...), nil
	}
	conn.Sock.SetWriteLimits(int64(c.Timeouts.Idle), 0, c.Expiry)
	c.sending = sending{conn: conn}
	var written int
	var err error
	if c.Streaming {
		conn.Sock.SetReadExpiry(c.Expiry) // Upload sets the rest when it is done
		if written, err = conn.Write(c.out); err == nil && !c.Request.Continue {
			c.Caller.Upload()
		}
	} else {
		conn.Sock.SetReadExpiry(c.headExpiry())
		written, err = conn.send(c.out, payload)
		if err != nil && written == len(c.out)+len(payload) {
			if until, ok := c.waitsOn(err); ok {
				conn.Sock.SetReadExpiry(until)
				err = nil
			}
		}
	}
	switch {
	case err == nil:
	case written == 0 && conn.Sock.Aborted() == nil:
		return c.fail(SendFailed, err)
	case written < len(c.out)+len(payload) && !isTimeout(err):
		// The target may have answered before it stopped reading.
	default:
		f := c.noHead(conn, err, false)
		if f.Reason == ResponseTimeout && written < len(c.out)+len(payload) {
			f = f.endedBy(c.reachedTimeout(false))
		}
		return f
	}
	return c.readHead(conn)
}

// readHead reads responses until the final one, or 101.
func (c *Call) readHead(conn *Conn) *Failure {
	withheld := c.Request.Continue
	for interim := 0; interim <= maxInterim; interim++ {
		var err error
		if withheld {
			if withheld, err = c.awaitContinue(conn); err != nil {
				return c.noHead(conn, err, interim > 0)
			}
		}
		begun := conn.Reader.Buffered() > 0
		c.head, err = conn.Reader.ReadHead(c.head[:0], maxResponseHead)
		if err != nil && interim == 0 && !begun && errors.As(err, new(*http1.ErrNothing)) {
			if until, ok := c.waitsOn(err); ok {
				conn.Sock.SetReadExpiry(until)
				c.head, err = conn.Reader.ReadHead(c.head[:0], maxResponseHead)
			}
		}
		if err != nil {
			_, nothing := errors.AsType[*http1.ErrNothing](err)
			return c.noHead(conn, err, interim > 0 || begun || !nothing)
		}
		if err = c.Response.Parse(c.head, c.isHEAD()); err != nil {
			return c.fail(BadResponse, err)
		}
		if wantsTLS(&c.Response, &conn.Reader) {
			return c.fail(BadResponse, errWantsTLS)
		}
		c.Target.observe(outcome{kind: answered})
		if c.Response.Status >= 200 || c.Response.Status == 101 {
			c.Body.Reset(&conn.Reader, c.Response.Framing, c.Response.Length)
			c.Conn = conn
			return nil
		}
		if c.Response.Status == 100 {
			if withheld {
				withheld = false
				c.upload(conn)
			}
			continue
		}
		if err = c.Caller.Interim(&c.Response.Response); err != nil {
			return c.fail(Aborted, err)
		}
	}
	return c.fail(BadResponse, errTooManyInterim)
}

// noHead classifies an error before the response head was complete.
func (c *Call) noHead(conn *Conn, err error, begun bool) *Failure {
	cause := conn.Sock.Aborted()
	switch {
	case cause != nil:
		return c.fail(Aborted, cause)
	case isTimeout(err):
		return c.fail(ResponseTimeout, err).endedBy(c.reachedTimeout(true))
	case begun:
		return c.fail(BadResponse, answerFault(conn, err))
	}
	if alert := c.Target.tuned.Load().tls.explainAlert(err); alert != nil && !conn.used && !c.Streaming && conn.refused(err) {
		// The handshake has failed after all, so nothing of the request was read.
		return c.fail(ConnectFailed, &ConnectError{Target: c.Target.Name(), Address: c.Target.address.HostPort(), Err: alert})
	} else if alert != nil {
		err = alert
	}
	return c.fail(NoResponse, c.Target.explainSilence(err))
}

// End gives the connection back. reusable says that the caller has sent the
// whole request and read the whole response without a fault.
func (c *Call) End(reusable bool) {
	conn := c.Conn
	if conn == nil {
		if c.stream != nil {
			c.endShared(reusable)
		}
		return
	}
	c.Conn = nil
	c.detach()
	if reusable && c.Body.Done() {
		c.Target.observe(outcome{kind: completed})
	}
	r := &c.Response
	keep := !r.Close && (r.Minor == 1 || r.KeepAlive)
	// A 204 or 304, or an answer to HEAD, that announces a body is followed by
	// one where a target is wrong about them (RFC 9112 §6.3), perhaps only later.
	strange := r.Status == 101 || (r.Status == 204 || r.Status == 304 || c.isHEAD()) && (r.Length > 0 || r.Header.Has(message.TransferEncoding))
	conn.release(reusable && keep && conn.noteKeepAlive(r) && !strange && !conn.dirty && c.Body.Done() &&
		r.Framing != http1.UntilClose && conn.Reader.Buffered() == 0 && conn.Sock.Aborted() == nil)
	c.Target.End()
}

func (c *Call) isHEAD() bool { return string(c.Request.Method) == "HEAD" }

// HeadSize returns the length of the response's head.
func (c *Call) HeadSize() int { return len(c.head) }

func (c *Call) fail(reason Reason, err error) *Failure {
	return &Failure{Reason: reason, Target: c.Target, Err: err}
}
