package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

const (
	maxProbes      = 64
	probeBodyLimit = 64 << 10
)

var errUnanswered = errors.New("the connection was closed without an answer")

// prober probes every target of a registry. Targets that are being revived
// don't use up the slots of the others: those may be many, and slow to fail.
type prober struct {
	regular, reviving chan struct{} // slots: hold as many as there are probes
	readers           sync.Pool     // of *probeReader
}

func newProber(parallel int) *prober {
	return &prober{
		regular:  make(chan struct{}, parallel),
		reviving: make(chan struct{}, parallel),
		readers:  sync.Pool{New: func() any { return new(probeReader) }},
	}
}

type probeResult struct {
	end     time.Time
	latency time.Duration
	marks   uint64 // the passive marks that there were before it began
}

// startProberLocked starts the target's goroutine if there is something for it
// to do and it doesn't run. The lock is the health's.
func (t *Target) startProberLocked() {
	h := &t.health
	idle := h.unresolved || !h.reviving && t.tuned.Load().kind == probeNone
	if h.probing || idle || t.ctx.Err() != nil {
		return
	}
	h.probing = t.registry.goroutines.start(t.probeLoop)
}

// probeLoop is the target's goroutine. It ends when the target retires, and
// when it has nothing to do: a target without probes has one only while it is
// being revived.
func (t *Target) probeLoop() {
	timer := newTimer()
	defer timer.Stop()
	for first := true; ; {
		t.publish()
		delay, more := t.nextProbe(first)
		if !more {
			return
		}
		timer.Reset(delay)
		select {
		case <-t.ctx.Done():
		case <-t.health.wake:
		case <-timer.C:
			first = false
			t.probeOnce()
		}
	}
}

// nextProbe returns the time until the next probe, or false when the goroutine has
// to end.
func (t *Target) nextProbe(first bool) (delay time.Duration, more bool) {
	h, tuned := &t.health, t.tuned.Load()
	random := t.registry.options.Rand()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case t.ctx.Err() != nil, h.unresolved, !h.reviving && tuned.kind == probeNone:
		h.probing = false
		return 0, false
	case h.reviving:
		limit := min(h.backoff, tuned.interval)
		return time.Duration(float64(limit) * (1 - 0.1*random)), true
	case first:
		return time.Duration(float64(min(tuned.interval, longestStart)) * random), true
	}
	return jitter(tuned.interval, random), true
}

// probeOnce probes unless the target retires or a passive mark comes meanwhile:
// the probe then says nothing, and must not hold up the revival.
func (t *Target) probeOnce() {
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	h := &t.health
	h.mu.Lock()
	h.interrupt = cancel
	marks, slots := h.marks, t.registry.prober.regular
	if h.reviving {
		slots = t.registry.prober.reviving
	}
	h.mu.Unlock()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return
	}
	start := time.Now()
	err := t.probe(ctx, t.tuned.Load())
	if ctx.Err() != nil || isLocal(err) {
		return // cut short, or our own shortage: it says nothing about the target
	}
	end := time.Now()
	t.observe(outcome{kind: probed, err: err, probe: probeResult{end: end, latency: end.Sub(start), marks: marks}})
}

// probe makes a connection of its own and, if the target has a path to probe,
// one exchange on it.
func (t *Target) probe(ctx context.Context, tuned *tuning) (err error) {
	defer t.registry.recoverInto(&err, "probe")
	ctx, cancel := context.WithTimeout(ctx, tuned.timeout)
	defer cancel()
	open, over := t.probeOpener(tuned), overHTTP1
	if t.sharedConns(socket.Nanotime()) != nil {
		open, over = t.openProbe, overHTTP2
	}
	conn, err := t.connect(ctx, open, over)
	if err != nil {
		return within(err, "health.timeout", tuned.timeout)
	}
	plain := conn // a probe ends without TLS's close_notify, which could block
	if secure, ok := conn.(*tls.Conn); ok {
		plain = secure.NetConn()
	}
	defer func() { _ = plain.Close() }()
	if tuned.kind == probeTCP || tuned.kind == probeNone {
		return nil
	}
	if over == overHTTP2 && (t.address.HTTP2() || !choseHTTP1(conn)) {
		err := t.probeStream(ctx, conn, tuned)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fmt.Errorf("probe of %s: no complete answer within %s", tuned.path, settingText("health.timeout", tuned.timeout))
		case err != nil:
			return fmt.Errorf("probe of %s: %w", tuned.path, err)
		}
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() })
	defer stop()
	status, err := t.sendProbe(conn, tuned.request)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("probe of %s: no complete answer within %s", tuned.path, settingText("health.timeout", tuned.timeout))
	case err != nil:
		if alert := t.tuned.Load().tls.explainAlert(err); alert != nil {
			err = alert
		}
		return fmt.Errorf("probe of %s: %w", tuned.path, err)
	case !tuned.expect.Contains(status):
		return fmt.Errorf("probe of %s: answered %d, expected %s", tuned.path, status, tuned.expect)
	}
	return nil
}

// sendProbe sends the request of a probe and returns the status of the answer, which
// must be complete unless it is longer than probeBodyLimit. It is read as the
// answers to requests are, within the same limits: a target that is healthy
// can be served from.
func (t *Target) sendProbe(conn net.Conn, request string) (status int, err error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, err
	}
	p := t.registry.prober.readers.Get().(*probeReader) //nolint:forcetypeassert // the pool holds nothing else
	defer func() {
		p.reader.Reset(nil)
		t.registry.prober.readers.Put(p)
	}()
	p.reader.Reset(conn)
	if err := p.readHead(); err != nil {
		if SpeaksTLS(p.reader.Peek()) {
			return 0, errWantsTLS
		}
		if errors.As(err, new(*http1.ErrNothing)) {
			if errors.Is(err, io.EOF) {
				err = errUnanswered
			}
			return 0, t.explainSilence(err)
		}
		return 0, asAnswer(err)
	}
	if wantsTLS(&p.answer, &p.reader) {
		return 0, errWantsTLS
	}
	t.observe(outcome{kind: answered})
	return p.answer.Status, p.readBody()
}

// probeReader reads the answer to a probe.
type probeReader struct {
	reader http1.Reader
	answer http1.Response
	body   http1.Body
	head   []byte
}

// readHead reads responses until the final one.
func (p *probeReader) readHead() (err error) {
	for range maxInterim + 1 {
		p.head, err = p.reader.ReadHead(p.head[:0], maxResponseHead)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the answer ended within its header section")
		case err != nil:
			return err
		}
		if err = p.answer.Parse(p.head, false); err != nil {
			return err
		}
		if p.answer.Status >= 200 || p.answer.Status == 101 {
			return nil
		}
	}
	return errTooManyInterim
}

func (p *probeReader) readBody() error {
	if p.answer.Length > probeBodyLimit {
		return nil
	}
	p.body.Reset(&p.reader, p.answer.Framing, p.answer.Length)
	for p.body.Read() <= probeBodyLimit {
		switch _, err := p.body.Next(); {
		case err == io.EOF:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the answer ended after %d bytes of its body", p.body.Read())
		case err != nil:
			return err
		}
	}
	return nil
}
