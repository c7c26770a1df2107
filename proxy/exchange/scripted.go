package exchange

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// scripted is what scripts see and make of an exchange. It is unused where
// the tenant has none.
type scripted struct {
	request lua.Request
	host    string // to send on, if a script has set it
	body    []byte // all of the request's body, if a script has read or set it
	runs    bool   // and bound the call by their total time-out
	read    bool   // body is the client's
	resized bool   // body is sent, framed anew
	took    int64  // what the client's body is charged
	charged int64  // what the response's body is; what scripts write is charged to their run
	gone    error  // what ended scripts whose client went away, if more is known of it than that
	keyBuf  []byte
	judged  *judged // the policy that scripts have asked last
	asked   int     // how many they have
}

func (s *scripted) reset() {
	s.forgetJudged()
	s.request = lua.Request{}
	s.host, s.body, s.runs, s.read, s.resized, s.took, s.charged, s.gone = "", nil, false, false, false, 0, 0, nil
	if cap(s.keyBuf) > keepScratch {
		s.keyBuf = nil
	}
}

// runScripts runs the tenant's chain, with the pool at its end.
func (x *exchange) runScripts() error {
	x.showRequest()
	if err := x.Tenant.Scripts.Serve(x, x.Client.Number); err != nil {
		switch {
		case !errors.Is(err, lua.ErrGone):
			return err
		case x.script.gone != nil:
			return x.script.gone
		}
		return ErrClientGone
	}
	return nil
}

// showRequest fills in what scripts see: field by field, since a value of this size
// would be made elsewhere and copied.
func (x *exchange) showRequest() {
	t, r := x.Tenant, &x.script.request
	r.Method, r.Host, r.Authority = x.method, x.Host, x.Message.Authority
	r.Scheme, r.Protocol, r.Remote = "http", protocolOf(x.Message.Version), x.Origin
	if x.secure() {
		r.Scheme = "https"
	}
	r.ID, r.Tenant, r.Header, r.Trusted, r.Certificate = x.ID, t.Name, &x.Message.Header, x.origin.trusted, x.certificate()
	r.User = x.User
	if known := x.knownBefore(); known != nil { // and not a nil pointer
		r.Identity = known
	}
	x.response.Reset()
	x.locateForScripts()
	x.script.runs = true
	x.boundCall()
}

// Unbound says that no script runs any more: the scripts' total time-out doesn't bound
// what is left.
func (x *exchange) Unbound() {
	if x.upload.running() { // a response that overtook its request: the upload looks at it too
		return
	}
	x.script.runs = false
	x.boundCall()
	x.nameTotal()
}

// protocolOf is a version as scripts see it, which costs no memory.
func protocolOf(version string) string {
	if version == "1.1" {
		return "HTTP/1.1"
	}
	return "HTTP/" + version
}

// secure reports whether the client uses TLS, as far as is known: a trusted
// proxy's word counts.
func (x *exchange) secure() bool {
	if x.origin.trusted {
		if proto := x.Message.Header.Get(message.XForwardedProto); proto != nil {
			first, _ := message.NextToken(proto)
			return message.EqualFold(first, "https")
		}
		if x.origin.proto != nil {
			return message.EqualFold(x.origin.proto, "https")
		}
	}
	return x.Client.Secure
}

// locateForScripts finds what patterns are compared with.
func (x *exchange) locateForScripts() {
	r := &x.script.request
	r.Path, r.Query = x.Path, x.query
	if n := len(x.Path); cap(x.script.keyBuf) < n {
		x.script.keyBuf = make([]byte, 0, max(n, 64))
	}
	r.Key = route.Key(x.script.keyBuf, x.Path)
	r.Below = r.Key
	if prefix := x.Tenant.Prefix; prefix != "" && bytes.HasPrefix(r.Key, []byte(prefix)) {
		switch rest := r.Key[len(prefix):]; {
		case len(rest) == 0:
			r.Below = rootPath
		case rest[0] == '/':
			r.Below = rest
		}
	}
}

// The methods below are lua.Exchange's.

// Request returns what scripts see of the request.
func (x *exchange) Request() *lua.Request { return &x.script.request }

// Response returns what scripts see of the response.
func (x *exchange) Response() *lua.Response { return &x.response }

// HasPool says whether there is a pool, or a route of the configuration which the
// request takes behind the scripts.
func (x *exchange) HasPool() bool {
	if x.upstreams() != nil {
		return true
	}
	x.method = x.script.request.Method
	found, err := x.findRoute()
	return found || err != nil // Forward says what is wrong
}

// Forward sends the request to the pool. A fault becomes the response.
func (x *exchange) Forward() error {
	err := x.forwardScripted()
	if err == nil {
		return nil
	}
	if faultOf(err) == faultClientGone {
		return x.gone(err)
	}
	x.Answer(err)
	return nil
}

func (x *exchange) forwardScripted() error {
	s := &x.script
	x.method = s.request.Method
	if answered, err := x.takeRoute(); answered || err != nil {
		return err
	}
	if x.routed != nil && x.routed.rewritten != nil {
		x.sendPath = x.routed.rewritten
	} else if err := x.stripAgain(); err != nil {
		return err
	}
	switch {
	case s.request.Replaced:
		s.body, s.resized = s.request.Body, true
	case s.read:
		s.resized = true
		if err := x.holdBody(); err != nil {
			return err
		}
	default:
		if err := x.admitBody(); err != nil {
			return err
		}
	}
	return x.forward()
}

// stripAgain finds the path to send on when a script may have changed it: one
// that has left the tenant's prefix is sent as it is.
func (x *exchange) stripAgain() error {
	if t := x.Tenant; t.StripPrefix != "" && len(x.script.request.Below) == len(x.script.request.Key) {
		return x.spell()
	}
	return x.strip()
}

// SetPath replaces the path.
func (x *exchange) SetPath(path string) error {
	if len(path) > x.bounds.maxURL {
		return fmt.Errorf("a path of %d bytes is too long, expected at most %d", len(path), x.bounds.maxURL)
	}
	if bytes.IndexByte([]byte(path), '?') >= 0 {
		return fmt.Errorf("path %.100q has a question mark, expected a path (set_query is for the query)", path)
	}
	written := []byte(path)
	canonical, _, changed, err := route.Canonical(nil, written)
	if err == nil && changed {
		_, err = route.Spell(nil, written, x.Tenant.Spelling)
	}
	if err != nil {
		return fmt.Errorf("path %.100q: %w", path, err)
	}
	x.Path, x.written, x.Message.Form = canonical, nil, message.OriginForm
	if changed {
		x.written = written
	}
	x.script.keyBuf = nil // parameters of the route are views into it
	x.locateForScripts()
	return nil
}

// SetQuery replaces the query.
func (x *exchange) SetQuery(query string) error {
	if len(query) > x.bounds.maxURL {
		return fmt.Errorf("a query of %d bytes is too long, expected at most %d", len(query), x.bounds.maxURL)
	}
	if x.Message.Form == message.AsteriskForm {
		return errors.New("OPTIONS * has no query")
	}
	_, canonical, _, err := route.Canonical(nil, []byte("/?"+query))
	if err != nil {
		return fmt.Errorf("query %.100q: %w", query, err)
	}
	if query == "" {
		canonical = nil
	}
	x.query, x.script.request.Query = canonical, canonical
	return nil
}

// SetHost replaces the host that targets see.
func (x *exchange) SetHost(host string) error {
	if len(host) > x.bounds.maxURL { // before it is copied
		return fmt.Errorf("a host of %d bytes is too long", len(host))
	}
	canonical, err := route.CanonicalHost(nil, []byte(host))
	if err != nil {
		return fmt.Errorf("host %.100q: %w", host, err)
	}
	x.script.host, x.script.request.Host, x.script.request.Authority = host, canonical, []byte(host)
	return nil
}

// Watch calls cancel if the client goes away.
func (x *exchange) Watch(cancel func()) (end func()) {
	return x.stream.Watch(cancel)
}

// Restore undoes all that scripts have changed about the request.
func (x *exchange) Restore(because error) error {
	x.Skipped = because
	if _, err := x.stream.Request(x.Generation.Bounds.maxURL); err != nil {
		return err
	}
	if x.dropIdentity(x.Message.Header); x.policed.begun {
		x.Message.Header = append(x.Message.Header[:0], x.policed.kept...)
	}
	if err := x.locate(); err != nil {
		return err
	}
	if x.policed.begun {
		x.query = x.policed.request.Query
	}
	x.method, x.call.Only, x.script.host = x.Message.Method, nil, ""
	x.pool, x.affine.pooled, x.affine.script = x.Tenant.Default, false, nil
	x.script.request = lua.Request{}
	x.showRequest()
	x.Unbound()
	return nil
}

// AppendLog says which request a line is about.
func (x *exchange) AppendLog(e *zerolog.Event) {
	e.Bytes("request_id", x.ID).Bytes("method", x.Message.Method).Bytes("path", LoggedPath(&x.Record))
}

// cutFault words an error of reading a target's body.
func (x *exchange) cutFault(err error) *Fault {
	if errors.Is(err, socket.ErrTimeout) {
		return faultResponseTimeout
	}
	return faultBadResponse
}
