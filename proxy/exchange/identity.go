package exchange

import "github.com/keystone-gateway/keystone-gateway/proxy/message"

// dropIdentity removes what only a trusted proxy may say of the client, and what
// only the gateway may.
func (x *exchange) dropIdentity(h message.Header) {
	if x.certs != nil {
		x.certs.drop(h)
	}
	if x.Tenant != nil {
		x.Tenant.Policies.DropOwned(h)
		x.Tenant.Routes.DropOwned(h)
		x.Tenant.Scripted.DropOwned(h)
	}
	if x.origin.trusted {
		return
	}
	set := &x.Generation.Identity
	for i := range h {
		if f := &h[i]; f.ID == message.XForwardedAny || f.ID == message.Unknown && set.Has(f.Name) {
			f.Dropped = true
		}
	}
}
