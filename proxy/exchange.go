package proxy

import (
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// exchange is one request and its response, in whatever protocol they come and
// go. It is pooled; reset names every field. Only its own goroutine uses it, but
// for the upload.
type exchange struct {
	server *Server
	snap   *snapshot // the one generation that this request sees
	bounds *bounds   // of it, or of the tenant once it is known
	stream Stream
	client *Client        // the stream's
	memory *memory.Charge // what it holds; the stream's
	start  int64          // socket.Nanotime

	// The request, as judged. All slices are views into what the stream has
	// received or the scratch memory below.
	req     *message.Request // the stream's
	host    []byte           // canonical
	path    []byte           // canonical, as it is judged
	written []byte           // the target that path was made of; nil where they don't differ
	query   []byte           // with its "?"
	origin  origin           // who the original client is
	hopped  bool             // a script has caused the request
	id      []byte           // request id
	tenant  *tenant

	// The request, as it is sent on.
	method   []byte // the client's, unless a script has changed it
	sendPath []byte // path after strip_prefix, in the spelling that is sent
	policed  policed
	content  content
	upload   upload
	call     upstream.Call // open from forward to endCall
	script   scripted

	// The response.
	response  lua.Response // as it is to become: a target's, the gateway's own, or that of scripts
	state     state
	last      bool // what the client sends next can't be trusted to be a request
	fault     *Fault
	cause     error // what lies beneath fault, for the log
	code      string
	status    int
	coding    coding
	takesGzip bool  // the client, whatever targets are told
	bytesIn   int64 // of content
	bytesOut  int64

	headerTime time.Duration
	elapsed    time.Duration // until the response had been sent

	// Scratch memory, kept between exchanges unless it has grown large.
	head    message.Response // of the response, as it is sent
	values  []byte           // of fields that the gateway writes
	line    logLine
	hostBuf [256]byte
	pathBuf []byte
	sendBuf []byte
	idBuf   [40]byte
}

// state is how far the response has come.
type state uint8

const (
	unanswered state = iota // nothing of a final response has been sent
	answering               // its head has
	cut                     // and it won't be completed: it must not look as if it were
	tunnelled               // both sides speak another protocol
)

// keepScratch is the largest scratch buffer that is kept.
const keepScratch = 16 << 10

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// noRequest is what there is of a request before its head has been judged.
var noRequest message.Request

func (s *Server) acquire(stream Stream) *exchange {
	x := exchanges.Get().(*exchange) //nolint:forcetypeassert // the pool holds nothing else
	x.server, x.stream, x.snap, x.memory = s, stream, s.current.Load(), stream.Memory()
	x.client, x.req = stream.Client(), &noRequest
	x.start = stream.Arrived()
	x.bound(&x.snap.bounds)
	return x
}

// bound holds the client to limits from now on.
func (x *exchange) bound(b *bounds) {
	x.bounds = b
	x.stream.Bound(b.writeIdle, b.minRate, 0)
}

func (x *exchange) reset() {
	x.server, x.snap, x.bounds, x.stream, x.client, x.tenant, x.memory = nil, nil, nil, nil, nil, nil, nil
	x.start = 0
	x.req, x.host, x.path, x.query, x.sendPath, x.id, x.method, x.written = nil, nil, nil, nil, nil, nil, nil, nil
	x.origin, x.hopped = origin{}, false
	x.content = content{}
	x.policed.reset()
	x.upload.reset()
	x.call.Reset()
	x.script.reset()
	x.response.Reset()
	x.state, x.last, x.fault, x.cause, x.code = unanswered, false, nil, nil, ""
	x.status, x.bytesIn, x.bytesOut, x.headerTime, x.elapsed = 0, 0, 0, 0, 0
	x.coding, x.takesGzip, x.head = coding{}, false, message.Response{}
	x.values, x.pathBuf, x.sendBuf, x.line.buf = shrunk(x.values), shrunk(x.pathBuf), shrunk(x.sendBuf), shrunk(x.line.buf)
}

// shrunk empties scratch memory, and drops what has grown large.
func shrunk(b []byte) []byte {
	if cap(b) > keepScratch {
		return nil
	}
	return b[:0]
}

// exchange handles one request, top to bottom.
func (s *Server) exchange(stream Stream) {
	x := s.acquire(stream)
	s.inFlight.Add(1)
	defer s.finish(x)
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}

// serve runs the stages of a request. An error before the response has begun
// is answered; after that, it is cut.
func (x *exchange) serve() error {
	if err := x.accept(); err != nil {
		return err
	}
	if x.server.answerPublicHealth(x) {
		return x.respondLocally(false)
	}
	if err := x.route(); err != nil {
		return err
	}
	answered, err := x.judge()
	if err != nil {
		return err
	}
	if answered || x.endsHere() {
		return x.respondLocally(false)
	}
	if err := x.answer(); err != nil {
		return err
	}
	return x.respond()
}

// answer has the tenant's scripts or a target make the response.
func (x *exchange) answer() error {
	if x.tenant.scripts != nil {
		return x.runScripts()
	}
	if err := x.admitBody(); err != nil {
		return err
	}
	return x.forward()
}

// accept judges the request head and derives from it all that the later
// stages see.
func (x *exchange) accept() error {
	x.identify()
	if err := x.holdHead(x.stream.HeadSize()); err != nil {
		x.last = true
		return err
	}
	req, err := x.stream.Request(x.bounds.maxURL)
	x.req = req
	if err != nil {
		x.last = true
		return err
	}
	x.method = x.req.Method
	x.content.Body = x.stream.Body()
	x.origin.trusted = x.snap.trusts(x.client.Peer) && !x.client.Unnamed
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
			return &caused{faultBadHost, err}
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
	x.takesGzip = x.bounds.compression.types != nil && acceptsGzip(x.req.Header)
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

// finish ends the exchange, whatever happened in it: it answers a panic, counts,
// logs, and leaves the rest to the stream.
func (s *Server) finish(x *exchange) {
	cause := recover()
	defer s.inFlight.Add(-1)
	defer func() {
		if again := recover(); again != nil { // even the ending failed: give up both sides. It is not pooled
			s.logPanic(again)
			x.endCall(false)
			x.stream.Cut(socket.Nanotime())
		}
	}()
	if cause != nil {
		x.recovered(cause)
	}
	x.endCall(x.state != cut)
	if x.state != tunnelled && x.content.Body != nil {
		x.bytesIn = x.content.Read()
	}
	x.elapsed = time.Duration(socket.Nanotime() - x.start)
	x.endPolicies()
	x.account()
	x.content.release(x.memory)
	if ended := x.start + int64(x.elapsed); x.state == cut {
		x.stream.Cut(ended)
	} else {
		x.stream.Finish(ended, x.last)
	}
	x.reset()
	exchanges.Put(x)
}

// endCall ends what is under way with a target, and gives its connection back.
// whole says that its response was read to the end, or isn't wanted.
func (x *exchange) endCall(whole bool) {
	x.upload.stop(x)
	if x.call.Conn != nil {
		x.stream.EndWait()
		x.call.End(whole && x.upload.complete())
	}
}
