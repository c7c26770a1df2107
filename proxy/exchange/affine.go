package exchange

import (
	"fmt"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// affine is what is known of who a request belongs to.
type affine struct {
	pooled  bool          // a script has chosen the pool
	script  []byte        // what a script has said; nil is nothing
	home    affinity.Home // what the client's cookie says
	scratch []byte
}

func (a *affine) reset() {
	a.pooled, a.script, a.home, a.scratch = false, nil, affinity.Home{}, shrunk(a.scratch)
}

// maxBalanceKey bounds what scripts set, in bytes.
const maxBalanceKey = 4 << 10

// SetBalanceKey is lua.Forwarder's.
func (x *exchange) SetBalanceKey(key string) error {
	if len(key) > maxBalanceKey {
		return fmt.Errorf("a key of %d bytes is too long, expected at most %d", len(key), maxBalanceKey)
	}
	x.affine.script = []byte(key)
	return nil
}

// affinityOf is what keys are made of.
func (x *exchange) affinityOf(r *affinity.Request) {
	*r = affinity.Request{Header: x.Message.Header, Query: x.query, Script: x.affine.script}
	if !x.Client.Unnamed && !x.origin.unreadable { // else Origin is a proxy's
		r.Client = x.Origin
	}
	if r.Path = x.script.request.Key; r.Path == nil {
		if n := len(x.Path); cap(x.script.keyBuf) < n {
			x.script.keyBuf = make([]byte, 0, max(n, 64))
		}
		r.Path = route.Key(x.script.keyBuf, x.Path)
	}
}

// targetKey is what the pool's balancer goes by; 0 is nothing.
func (x *exchange) targetKey() (key uint64) {
	p := x.pool
	switch {
	case p == nil || x.call.Only != nil:
	case p.Sticky != nil:
		home, scratch := p.Sticky.Read(x.Message.Header, x.affine.scratch, time.Now())
		x.affine.home, x.affine.scratch = home, scratch
		if p.Sticky.Returns() && home.First != home.Current && p.Keeps(home.First) {
			return home.First
		}
		return home.Current
	case p.Key != nil:
		var r affinity.Request
		x.affinityOf(&r)
		key, x.affine.scratch = p.Key.Of(&r, x.affine.scratch)
	}
	return key
}

// keepTarget gives a client the cookie by which it comes back to its target.
func (x *exchange) keepTarget() {
	p := x.pool
	if p == nil || p.Sticky == nil || x.call.Only != nil || x.call.Target == nil {
		return
	}
	target, now := x.call.Target.Key(), time.Now()
	if !p.Sticky.Wants(x.affine.home, target, now) {
		return
	}
	line, err := p.Sticky.Line(x.affine.home, target, now)
	if err != nil {
		panic("BUG: a cookie that was checked can't be written: " + err.Error())
	}
	add(x.response.Header, setCookieName, []byte(line))
}

var setCookieName = []byte("Set-Cookie")
