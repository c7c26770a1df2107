package exchange

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// upstreams is the pool that the request goes to, as far as it is known; nil is none.
func (x *exchange) upstreams() *upstream.Pool {
	if x.pool != nil {
		return x.pool.Pool
	}
	return x.Tenant.Pool
}

// sentTo is the name of the pool that the request was sent to, where the tenant has
// several.
func (x *exchange) sentTo() string {
	if x.Tenant == nil || !x.Tenant.NamesPools || x.call.Start == 0 {
		return ""
	}
	return x.upstreams().Name()
}

// timeouts are those of the pool.
func (x *exchange) timeouts() *upstream.Timeouts {
	if x.pool != nil {
		return &x.pool.Timeouts
	}
	return &x.Tenant.Timeouts
}

// usePool has the request go to a pool.
func (x *exchange) usePool(p *Pool) {
	if p == x.pool {
		return
	}
	if x.pool = p; !x.upload.running() {
		x.boundCall()
	}
}

// routePool has the request go where its route leads, unless a script has chosen; nil is
// no route.
func (x *exchange) routePool(r *routing.Route) {
	switch {
	case x.affine.pooled:
	case r == nil || r.Pool < 0 && r.Split == nil:
		x.usePool(x.Tenant.Default)
	case r.Split != nil:
		var of affinity.Request
		x.affinityOf(&of)
		index, scratch := r.Split.Pick(&of, x.affine.scratch, rand.Uint64)
		x.affine.scratch = scratch
		x.usePool(x.Tenant.Pools[index])
	default:
		x.usePool(x.Tenant.Pools[r.Pool])
	}
}

// ChoosePool has Forward use the pool of that name, whatever the route says; it is
// lua.Forwarder's.
func (x *exchange) ChoosePool(name string) error {
	for _, p := range x.Tenant.Pools {
		if p.Name() == name {
			x.affine.pooled, x.call.Only = true, nil
			x.usePool(p)
			return nil
		}
	}
	names := make([]string, 0, len(x.Tenant.Pools))
	for _, p := range x.Tenant.Pools {
		names = append(names, p.Name())
	}
	if len(names) == 0 {
		return fmt.Errorf("the tenant has no pools, so there is no pool %.100q", name)
	}
	meant := ""
	if near := spelling.Nearest(name, names); near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("there is no pool %.100q, expected one of %s%s", name, strings.Join(names, ", "), meant)
}

// Choose picks the target by its service's name, of the pool that was chosen and then of
// the tenant's others; the tenant's own name lets the pool choose. It is lua.Forwarder's.
func (x *exchange) Choose(name string) error {
	if len(x.Tenant.Pools) == 0 {
		return fmt.Errorf("the tenant has no services, so there is no target %.100q", name)
	}
	if name == x.Tenant.Name {
		x.call.Only, x.affine.pooled = nil, false
		x.usePool(x.Tenant.Default)
		return nil
	}
	if p := x.upstreams(); p != nil && x.chooseOf(p, name) {
		x.affine.pooled = true
		return nil
	}
	for _, p := range x.Tenant.Pools {
		if x.chooseOf(p.Pool, name) {
			x.affine.pooled = true
			x.usePool(p)
			return nil
		}
	}
	return fmt.Errorf("there is no target %.100q, expected the name of one of the tenant's services, or %q for all of them", name, x.Tenant.Name)
}

// chooseOf picks the target of that name, if the pool has one.
func (x *exchange) chooseOf(p *upstream.Pool, name string) bool {
	for _, target := range p.Targets() {
		if target.Name() == name {
			x.call.Only = target
			return true
		}
	}
	return false
}
