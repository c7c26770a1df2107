package proxy

import (
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// exchange is one request and its response. It is pooled; reset names every
// field. Only its own goroutine uses it, but for the upload.
type exchange struct {
	server *Server
	snap   *snapshot // the one generation that this request sees
	bounds *bounds   // of it, or of the tenant once it is known
	client *client
	memory *memory.Charge // what it holds; the client's
	start  int64          // socket.Nanotime

	// The request, as judged. All slices are views into client.head or the
	// scratch memory below.
	req      http1.Request
	host     []byte     // canonical
	path     []byte     // canonical, as it is judged
	written  []byte     // the target that path was made of; nil where they don't differ
	query    []byte     // with its "?"
	clientIP netip.Addr // of the original client, past trusted proxies
	trusted  bool       // whether the peer's forwarded fields are believed
	origin   origin     // what Forwarded says of that client
	hopped   bool       // a script has caused the request
	id       []byte     // request id
	tenant   *tenant
	method   []byte // sent on; the client's, unless a script has changed it
	sendPath []byte // path after strip_prefix, in the spelling that is sent
	policed  policed
	script   scripted

	// The request's body.
	body      http1.Body
	buffered  []byte // all of a small body; from memory.AcquireBuffer
	continued bool   // 100 Continue was sent, or not asked for
	upload    upload
	pace      socket.Pace // of the client's sending
	judged    int64       // how much of the body pace knows of

	// The response.
	call        upstream.Call
	begunCall   bool // call has a response whose body has not been ended
	local       localResponse
	fault       *Fault
	cause       error // what lies beneath fault, for the log
	code        string
	status      int
	begun       bool // bytes of the final response may have reached the client
	cut         bool // the response is incomplete: the connection must not look fine
	close       bool // the connection ends with this exchange
	tunnelled   bool
	compressing bool  // the response's body is
	recoded     bool  // its fields say so; those of HEAD and 304 too
	varies      bool  // they would, for a client that accepts it
	bytesIn     int64 // of content
	bytesOut    int64
	headerTime  time.Duration
	elapsed     time.Duration // until the response had been sent

	// Scratch memory, kept between exchanges unless it has grown large.
	out     []byte
	line    logLine
	sink    sink // to the client, while a body is sent
	pump    pump
	hostBuf [256]byte
	pathBuf []byte
	sendBuf []byte
	idBuf   [40]byte
}

// localResponse is an answer that the gateway makes itself.
type localResponse struct {
	contentType string
	body        []byte
	retryAfter  int
	allow       string
	header      message.Header // besides what is made of the above
}

// keepScratch is the largest scratch buffer that is kept.
const keepScratch = 16 << 10

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func (s *Server) acquire(c *client) *exchange {
	x := exchanges.Get().(*exchange) //nolint:forcetypeassert // the pool holds nothing else
	x.server, x.client, x.snap, x.memory = s, c, s.current.Load(), &c.memory
	x.bounds = &x.snap.bounds
	x.start = c.headAt
	return x
}

func (x *exchange) release() {
	x.releaseBuffered()
	x.memory.End(&x.server.unrouted.Memory, x.client.reader.Charged())
	x.reset()
	exchanges.Put(x)
}

func (x *exchange) reset() {
	x.server, x.snap, x.bounds, x.client, x.tenant, x.memory = nil, nil, nil, nil, nil, nil
	x.start = 0
	x.req.Reset()
	x.host, x.path, x.query, x.sendPath, x.id, x.method, x.written = nil, nil, nil, nil, nil, nil, nil
	x.policed.reset()
	x.script.reset()
	x.clientIP, x.trusted, x.hopped, x.origin = netip.Addr{}, false, false, origin{}
	x.buffered, x.continued = nil, false
	x.upload.reset()
	x.call.Reset()
	x.local, x.fault, x.cause, x.code = localResponse{}, nil, nil, ""
	x.status, x.bytesIn, x.bytesOut, x.headerTime, x.elapsed = 0, 0, 0, 0, 0
	x.body.Reset(nil, http1.NoBody, 0)
	x.begunCall, x.begun, x.cut, x.close, x.tunnelled = false, false, false, false, false
	x.compressing, x.recoded, x.varies = false, false, false
	x.pace, x.judged = socket.Pace{}, 0
	x.sink, x.pump = sink{}, pump{}
	if cap(x.out) > keepScratch {
		x.out = nil
	}
	if cap(x.pathBuf) > keepScratch {
		x.pathBuf = nil
	}
	if cap(x.sendBuf) > keepScratch {
		x.sendBuf = nil
	}
	if cap(x.line.buf) > keepScratch {
		x.line.buf = nil
	}
}

// handle is fasthttp's handler. It is called for a connection's first request
// and stays until the last: to fasthttp they are one.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*client) //nolint:forcetypeassert // Server.connect makes no other
	for s.exchange(c) && c.next() {
	}
	c.linger()
	ctx.SetConnectionClose()
}

// exchange handles one request, top to bottom. It reports whether the
// connection goes on.
func (s *Server) exchange(c *client) (goesOn bool) {
	x := s.acquire(c)
	s.inFlight.Add(1)
	defer s.finish(x, &goesOn)
	if err := x.serve(); err != nil {
		x.fail(err)
	}
	return // as finish says
}

// serve runs the stages of a request. An error before the response has begun
// is answered; after that, the connection is cut.
func (x *exchange) serve() error {
	if err := x.accept(); err != nil {
		return err
	}
	if x.server.answerPublicHealth(x) {
		return x.respond()
	}
	if err := x.route(); err != nil {
		return err
	}
	if answered, err := x.judge(); answered || err != nil {
		return err
	}
	if x.endsHere() {
		return x.respond()
	}
	if x.tenant.scripts != nil {
		return x.runScripts()
	}
	if err := x.admitBody(); err != nil {
		return err
	}
	if err := x.forward(); err != nil {
		return err
	}
	return x.respond()
}

// accept judges the request head and derives from it all that the later
// stages see.
func (x *exchange) accept() error {
	x.identify()
	if x.client.headErr != nil {
		x.close = true
		return x.client.headErr
	}
	if err := x.holdHead(len(x.client.head)); err != nil {
		x.close = true
		return err
	}
	if err := x.req.Parse(x.client.head, x.bounds.maxURL); err != nil {
		return err
	}
	x.method = x.req.Method
	x.close = x.req.Close || x.req.Minor == 0 && !x.req.KeepAlive
	x.body.Reset(&x.client.reader, x.req.Framing, x.req.Length)
	x.continued = !x.req.Continue
	x.trusted = x.snap.trusts(x.client.Peer) && !x.client.unnamed
	x.adoptForwarded()
	x.dropIdentity(x.req.Header)
	x.adoptID()
	switch string(x.req.Method) {
	case "CONNECT", "TRACE":
		return faultMethodRefused
	}
	if err := x.checkLoops(); err != nil {
		return err
	}
	return x.locate()
}

// locate finds the canonical host and path.
func (x *exchange) locate() error {
	if len(x.req.Authority) > 0 {
		host, err := route.CanonicalHost(x.hostBuf[:0], x.req.Authority)
		if err != nil {
			x.cause = err
			return faultBadHost
		}
		x.host = host
	} else if x.req.Header.Has(message.Host) {
		return faultBadHost
	}
	if x.req.Form == message.AsteriskForm {
		x.path, x.query, x.written = x.req.Resource, nil, nil
		return nil
	}
	if n := 3 * len(x.req.Resource); cap(x.pathBuf) < n {
		x.pathBuf = make([]byte, 0, n)
	}
	path, query, changed, err := route.Canonical(x.pathBuf, x.req.Resource)
	if err != nil {
		return err
	}
	x.path, x.query, x.written = path, query, nil
	if changed {
		x.written = x.req.Resource
	}
	return nil
}

// route finds the tenant.
func (x *exchange) route() error {
	path := x.path
	if x.req.Form == message.AsteriskForm {
		path = rootPath
	}
	t, ok := x.snap.table.Match(x.host, path)
	if !ok {
		return faultNoTenant
	}
	x.tenant = t
	if err := x.holdToTenant(t); err != nil {
		return err
	}
	if t.total > 0 {
		x.call.Expiry = x.start + int64(t.total)
	}
	if t.refuse != nil {
		return t.refuse
	}
	if t.scripts == nil && t.pool == nil {
		return faultNoRoute
	}
	if err := x.enter(); err != nil {
		return err
	}
	return x.strip()
}

var rootPath = []byte("/")

// finish ends the exchange, whatever happened in it: it answers a panic,
// decides about the connection, counts and logs.
func (s *Server) finish(x *exchange, goesOn *bool) {
	cause := recover()
	defer s.inFlight.Add(-1)
	defer func() {
		if again := recover(); again != nil { // even the ending failed: give up both connections
			s.logPanic(again)
			*goesOn = false
			x.abandon()
		}
	}()
	if cause != nil {
		x.recovered(cause)
	}
	x.settle()
	x.endPolicies()
	x.account()
	x.leave()
	*goesOn = !x.close     // a drain that begins only now closes it once it is idle
	if !x.client.lingers { // which isn't idle: a drain waits for it
		x.client.rest(x.start + int64(x.elapsed))
	}
	x.release()
}

// abandon leaves an exchange that can't be ended in order. It is not pooled.
func (x *exchange) abandon() {
	x.upload.stop(x)
	x.client.endWait()
	_ = x.client.Reset()
	if x.begunCall {
		x.begunCall = false
		x.call.End(false)
	}
	x.client.reader.Release()
	x.memory.End(&x.server.unrouted.Memory, 0)
}

// settle ends what is still under way, and gives the target's connection back.
func (x *exchange) settle() {
	x.upload.stop(x)
	x.client.endWait()
	if x.begunCall {
		x.begunCall = false
		x.call.End(!x.cut && x.upload.complete())
	}
	if !x.tunnelled {
		x.bytesIn = x.body.Read()
	}
	x.elapsed = time.Duration(socket.Nanotime() - x.start)
}
