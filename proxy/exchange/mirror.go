package exchange

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

const (
	// mostMirrored bounds the copies that are under way to one pool.
	mostMirrored = 64
	// mirrorTime bounds a copy whose pool has no timeouts.total.
	mirrorTime = 30 * time.Second
	// mostOfMirror bounds what is read of the answer to a copy, so that its connection
	// can be kept.
	mostOfMirror = 1 << 20
	// mirrorSize is what a copy takes besides its bytes.
	mirrorSize = 8 << 10
)

// Mirrors are the copies of requests that are under way. The zero value is ready.
type Mirrors struct {
	mu     sync.Mutex
	closed bool                   // guarded by mu
	calls  map[*mirrored]struct{} // the same
	group  sync.WaitGroup
}

// Close gives up the copies that are under way, and waits for their end.
func (m *Mirrors) Close() {
	m.mu.Lock()
	m.closed = true
	for one := range m.calls {
		one.call.Abort(ErrClientGone)
	}
	m.mu.Unlock()
	m.group.Wait()
}

func (m *Mirrors) start(one *mirrored) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	if m.calls == nil {
		m.calls = map[*mirrored]struct{}{}
	}
	m.calls[one] = struct{}{}
	m.group.Go(func() {
		one.run()
		m.mu.Lock()
		delete(m.calls, one)
		m.mu.Unlock()
	})
	return true
}

// mirrored is a copy of a request, with memory of its own; it outlives the request.
type mirrored struct {
	plane  *Plane
	to     *Pool
	stats  *Stats
	call   upstream.Call
	sent   message.Sent
	charge memory.Charge
	held   int64
}

// mirror sends a copy of the request, which is about to be sent on, where its route
// says, and doesn't wait for it. Copies that there is no room for, and of requests whose
// bodies stream, are dropped.
func (x *exchange) mirror() {
	r := x.taken()
	if r == nil || r.Mirror == nil || rand.Uint64() > r.Mirror.Share { //nolint:gosec // G404: sampling is no secret
		return
	}
	stats, to := x.Tenant.Stats, x.Tenant.Pools[r.Mirror.Pool]
	if x.call.Streaming || x.sent.UpgradeAsked {
		stats.Mirrors.Dropped.Add(1)
		return
	}
	if to.mirrors.Add(1) > mostMirrored {
		to.mirrors.Add(-1)
		stats.Mirrors.Dropped.Add(1)
		return
	}
	m := &mirrored{plane: x.plane, to: to, stats: stats}
	if !m.copy(&x.sent, x.call.Payload) || !x.plane.Mirrors.start(m) {
		m.release()
		stats.Mirrors.Dropped.Add(1)
	}
}

// copy takes over the request, if there is memory to spare for it.
func (m *mirrored) copy(s *message.Sent, payload []byte) bool {
	size := len(s.Method) + len(s.Authority) + len(s.Path) + len(s.Query) + len(payload)
	each := func(f func(*message.Field)) {
		for _, h := range []message.Header{s.Header, s.Own} {
			for i := range h {
				f(&h[i])
			}
		}
	}
	each(func(f *message.Field) { size += len(f.Name) + len(f.Value) })
	m.charge.Begin(&m.stats.Memory)
	held := int64(size) + mirrorSize
	if !m.charge.AcquireSpare(held) {
		return false
	}
	m.held = held
	buf := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		begin := len(buf)
		buf = append(buf, b...)
		return buf[begin:len(buf):len(buf)]
	}
	m.sent = *s
	m.sent.Method, m.sent.Authority, m.sent.Path, m.sent.Query = keep(s.Method), keep(s.Authority), keep(s.Path), keep(s.Query)
	fields := make(message.Header, 0, len(s.Header)+len(s.Own))
	each(func(f *message.Field) {
		own := *f
		own.Name, own.Value = keep(f.Name), keep(f.Value)
		fields = append(fields, own)
	})
	m.sent.Header, m.sent.Own = fields[:len(s.Header):len(s.Header)], fields[len(s.Header):]
	m.call.Payload = keep(payload)
	return true
}

func (m *mirrored) release() {
	m.charge.Release(m.held)
	m.to.mirrors.Add(-1)
}

// run sends the copy, and drops what comes back.
func (m *mirrored) run() {
	outcome := &m.stats.Mirrors.Failed
	defer func() {
		if cause := recover(); cause != nil {
			m.plane.LogPanic(cause)
		}
		if m.call.Open() {
			m.call.End(false)
		}
		outcome.Add(1)
		m.release()
	}()
	c := &m.call
	c.Caller, c.Request, c.Timeouts, c.Start = m, &m.sent, m.to.Timeouts, socket.Nanotime()
	limit := mirrorTime
	if total := c.Timeouts.Total; total > 0 {
		limit = total
	}
	c.Expiry = c.Start + int64(limit)
	if err := c.Do(m.to.Pool); err != nil {
		return
	}
	outcome = &m.stats.Mirrors.Sent
	for read := 0; read < mostOfMirror; {
		c.ExpectBody()
		span, err := c.Body.Next()
		if err != nil {
			c.End(err == io.EOF)
			return
		}
		read += len(span)
	}
}

// Upload is upstream.Caller's: nothing streams.
func (*mirrored) Upload() {}

// StopUpload is upstream.Caller's.
func (*mirrored) StopUpload() {}

// Interim is upstream.Caller's.
func (*mirrored) Interim(*message.Response) error { return nil }

// Attempted is upstream.Caller's.
func (*mirrored) Attempted(*upstream.Target, error) {}
