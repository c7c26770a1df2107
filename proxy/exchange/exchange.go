package exchange

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
	Record // what observers are told, kept here from the start

	plane  *Plane
	bounds *Bounds // of the generation, or of the tenant once it is known
	stream Stream
	web    *webStream     // stream, where the client speaks gRPC-Web; else nil
	memory *memory.Charge // what it holds; the stream's

	// The request, as judged. All slices are views into what the stream has
	// received or the scratch memory below.
	written []byte             // the target that Path was made of; nil where they don't differ
	query   []byte             // with its "?"
	origin  origin             // what is known of the original client
	hopped  bool               // a script has caused the request
	certs   *CertificateFields // of the client, that are the gateway's to write; nil: none

	// The request, as it is sent on.
	method   []byte // the client's, unless a script has changed it
	sendPath []byte // path after strip_prefix, in the spelling that is sent
	policed  policed
	routed   *routed // nil: none has been looked for
	pool     *Pool   // that a route or a script has chosen; nil: the tenant's default one
	affine   affine
	content  content
	upload   upload
	sent     message.Sent
	told     upstream.Introduction // of the client, to targets that ask
	call     upstream.Call         // open from forward to endCall
	script   scripted
	// grpcLimit is the grpc-timeout; 0 is none.
	grpcLimit time.Duration

	// The response.
	response  lua.Response // as it is to become: a target's, the gateway's own, or that of scripts
	served    served       // the file that it is
	state     state
	cutReason CutReason // once state is cut
	last      bool      // what the client sends next can't be trusted to be a request
	fault     *Fault
	coding    coding
	takes     codingID // the client, whatever targets are told

	// Scratch memory, kept between exchanges unless it has grown large.
	head    message.Response // of the response, as it is sent
	values  []byte           // of fields that the gateway writes
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

func (p *Plane) acquire(stream Stream) *exchange {
	x := exchanges.Get().(*exchange) //nolint:forcetypeassert // the pool holds nothing else
	x.plane, x.stream, x.memory = p, stream, stream.Memory()
	x.Generation, x.Client, x.Message, x.Start = p.Current(), stream.Client(), &noRequest, stream.Arrived()
	x.Entrance = x.Generation.Entrances[x.Client.Listener]
	x.bound(&x.Generation.Bounds)
	return x
}

// bound holds the client to limits from now on.
func (x *exchange) bound(b *Bounds) {
	x.bounds = b
	x.stream.Bound(b.writeIdle, b.minRate, 0)
}

func (x *exchange) reset() {
	x.Record.reset()
	if x.web != nil {
		x.web.release()
	}
	x.plane, x.bounds, x.stream, x.web, x.memory = nil, nil, nil, nil, nil
	x.query, x.sendPath, x.method, x.written = nil, nil, nil, nil
	x.origin, x.hopped, x.certs, x.grpcLimit, x.pool = origin{}, false, nil, 0, nil
	x.affine.reset()
	x.content = content{}
	x.upload = upload{}
	x.sent.Reset()
	x.told = upstream.Introduction{}
	x.call.Reset()
	x.script.reset()
	x.policed.reset()
	x.forgetRoute()
	x.response.Reset()
	x.served = served{}
	x.state, x.cutReason, x.last, x.fault = unanswered, 0, false, nil
	x.coding, x.takes, x.head = coding{}, identity, message.Response{}
	x.values, x.pathBuf, x.sendBuf = shrunk(x.values), shrunk(x.pathBuf), shrunk(x.sendBuf)
}

// shrunk empties scratch memory, and drops what has grown large.
func shrunk(b []byte) []byte {
	if cap(b) > keepScratch {
		return nil
	}
	return b[:0]
}

// Serve handles one request, top to bottom, and finishes its stream, or cuts it.
// It doesn't panic.
func (p *Plane) Serve(stream Stream) {
	x := p.acquire(stream)
	p.inFlight.Add(1)
	defer p.finish(x)
	for _, o := range p.Observers.begin {
		o.Begin(&x.Record)
	}
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}

// stage tells of the next stage.
func (x *exchange) stage(s Stage) {
	for _, o := range x.plane.Observers.stage {
		o.Stage(&x.Record, s)
	}
}

// serve runs the stages of a request. An error before the response has begun
// is answered; after that, it is cut.
func (x *exchange) serve() error {
	x.stage(Accept)
	if err := x.accept(); err != nil {
		return err
	}
	if x.answerHealth() || x.answerChallenge() {
		return x.respondLocally(false)
	}
	if led, err := x.leadToHTTPS(); led || err != nil {
		if err == nil {
			err = x.respondLocally(false)
		}
		return err
	}
	x.stage(Route)
	if err := x.route(); err != nil {
		return err
	}
	x.stage(Judge)
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
	x.stage(Respond)
	return x.respond()
}

// answerHealth answers health requests, where the configuration wants that on the
// public listener.
func (x *exchange) answerHealth() bool {
	if x.Generation.Health == nil {
		return false
	}
	status, body, ok := x.Generation.Health(x.Message.Method, x.Path)
	if !ok {
		return false
	}
	x.local(status, "application/json", body)
	if status == 405 {
		x.response.Local.Set(allowName, []byte("GET, HEAD"))
	}
	return true
}

// ChallengePath is where authorities have names proved by HTTP (RFC 8555 §8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// answerChallenge answers an authority that has a name proved: only what it asks
// for exactly. All else there is the tenant's.
func (x *exchange) answerChallenge() bool {
	if x.plane.Challenge == nil || len(x.Path) <= len(ChallengePath) || string(x.Path[:len(ChallengePath)]) != ChallengePath ||
		x.written != nil || len(x.query) > 0 || string(x.Message.Method) != "GET" {
		return false
	}
	body := x.plane.Challenge(x.Host, x.Path)
	if body == nil {
		return false
	}
	x.local(200, "application/octet-stream", body)
	return true
}

// answer has the tenant's scripts, a route of the configuration or a target make the
// response.
func (x *exchange) answer() error {
	if x.Tenant.Scripts != nil {
		x.stage(Script)
		return x.runScripts()
	}
	if answered, err := x.takeRoute(); answered || err != nil {
		return err
	}
	if x.routed != nil && x.routed.rewritten != nil {
		x.sendPath = x.routed.rewritten
	}
	if x.script.read { // by a policy
		x.script.resized = true
		if err := x.holdBody(); err != nil {
			return err
		}
	} else if err := x.admitBody(); err != nil {
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
	request, err := x.stream.Request(x.bounds.maxURL)
	x.Message = request
	if err != nil {
		x.last = true
		return err
	}
	x.method = x.Message.Method
	x.content.Body = x.stream.Body()
	x.origin.trusted = x.Entrance.Trusts(x.Client.Peer) && !x.Client.Unnamed
	x.adoptForwarded()
	x.dropIdentity(x.Message.Header)
	x.adoptID()
	switch string(x.Message.Method) {
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
	if len(x.Message.Authority) > 0 {
		host, err := route.CanonicalHost(x.hostBuf[:0], x.Message.Authority)
		if err != nil {
			return &caused{faultBadHost, err}
		}
		x.Host = host
	} else if x.Message.Header.Has(message.Host) {
		return faultBadHost
	}
	if x.Message.Form == message.AsteriskForm {
		x.Path, x.query, x.written = x.Message.Resource, nil, nil
		return nil
	}
	if n := 3 * len(x.Message.Resource); cap(x.pathBuf) < n {
		x.pathBuf = make([]byte, 0, n)
	}
	path, query, changed, err := route.Canonical(x.pathBuf, x.Message.Resource)
	if err != nil {
		return err
	}
	x.Path, x.query, x.written = path, query, nil
	if changed {
		x.written = x.Message.Resource
	}
	return nil
}

// route finds the tenant.
func (x *exchange) route() error {
	path := x.Path
	if x.Message.Form == message.AsteriskForm {
		path = rootPath
	}
	t, ok := x.Entrance.Table.Match(x.Host, path)
	if !ok {
		return faultNoTenant
	}
	x.Tenant, x.pool = t, t.Default
	if err := x.admitConnection(); err != nil {
		return err
	}
	if err := x.holdToTenant(t); err != nil {
		return err
	}
	x.takes = accepted(x.Message.Header, x.bounds.compression.order)
	if t.GRPCWeb {
		x.speakWeb()
	}
	if x.speaksGRPC() {
		x.grpcLimit, _ = parseGRPCTimeout(x.Message.Header.Value(grpcTimeout))
	}
	x.boundCall()
	if t.Refuse != nil {
		return t.Refuse
	}
	if t.Scripts == nil && t.Pool == nil && t.Routes == nil {
		return faultNoRoute
	}
	if err := x.enter(); err != nil {
		return err
	}
	return x.strip()
}

var rootPath = []byte("/")

// finish ends the exchange, whatever happened in it: it answers a panic, tells of
// the end, and leaves the rest to the stream.
func (p *Plane) finish(x *exchange) {
	cause := recover()
	defer func() {
		p.inFlight.Add(-1)
		if again := recover(); again != nil { // even the ending failed: give up both sides. It is not pooled
			p.LogPanic(again)
			x.endCall(false)
			x.stream.Cut(socket.Nanotime(), CutByGateway)
		}
	}()
	if cause != nil {
		x.recovered(cause)
	}
	x.endCall(x.state != cut)
	x.endPolicies()
	x.complete()
	for _, o := range p.Observers.end {
		o.End(&x.Record)
	}
	x.content.release(x.memory)
	if ended := x.Start + int64(x.Elapsed); x.state == cut {
		x.stream.Cut(ended, x.cutReason)
	} else {
		x.stream.Finish(ended, x.last)
	}
	x.reset()
	exchanges.Put(x)
}

// complete fills in what the record has only at the end.
func (x *exchange) complete() {
	r := &x.Record
	r.Tunnelled = x.state == tunnelled
	if !r.Tunnelled && x.content.Body != nil {
		r.BytesIn = x.content.Read()
	}
	r.ScriptRoute, r.ScriptStep = x.script.request.Route, x.script.request.Step
	r.Target, r.Attempts, r.ConnectTime, r.Pool = x.call.Target, x.call.Attempts, x.call.ConnectTime, x.sentTo()
	r.Elapsed = time.Duration(socket.Nanotime() - r.Start)
}

// endCall ends what is under way with a target, and gives its connection back.
// whole says that its response was read to the end, or isn't wanted.
func (x *exchange) endCall(whole bool) {
	x.served.close()
	x.upload.stop(x)
	if x.call.Open() {
		x.stream.EndWait()
		x.call.End(whole && x.upload.complete())
	}
}
