package ip

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Judge lets a request pass, or refuses it, by its client's address. What isn't
// known is refused, but for Unix sockets where they are allowed.
func (p *addresses) Judge(r *policy.Request) (*policy.Answer, error) {
	switch {
	case r.Client.IsValid():
	case r.Unnamed:
		return refuse(errors.New("the client's address isn't known, since the proxy that has introduced it names none that can be read")), nil
	case p.unix:
		return nil, nil
	default:
		return refuse(errors.New("the client's address isn't known, and allow doesn't have \"unix\"")), nil
	}
	if p.deny.Contains(r.Client) {
		return refuse(p.explain(r)), nil
	}
	if p.everybody || p.allow.Contains(r.Client) {
		return nil, nil
	}
	return refuse(fmt.Errorf("client %s is in no network of allow", r.Client)), nil
}

// explain names the network that a client was denied for.
func (p *addresses) explain(r *policy.Request) error {
	if prefix, ok := find(p.denied, r.Client); ok {
		return fmt.Errorf("client %s is in %s of deny", r.Client, prefix)
	}
	return fmt.Errorf("client %s is in deny_file", r.Client)
}

// Explain is policy.Explainer's.
func (p *addresses) Explain(r *policy.Request) string {
	prefix, listed := find(p.allowed, r.Client)
	switch {
	case !r.Client.IsValid():
		return "clients on a Unix socket are in allow"
	case listed:
		return fmt.Sprintf("client %s is in %s of allow", r.Client, prefix)
	case p.everybody:
		return fmt.Sprintf("client %s is not in deny", r.Client)
	}
	return fmt.Sprintf("client %s is in allow_file", r.Client)
}

// find returns the first network of a list that a client is in.
func find(list []netip.Prefix, client netip.Addr) (netip.Prefix, bool) {
	for _, prefix := range list {
		if prefix.Contains(client.Unmap().WithZone("")) {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

func refuse(cause error) *policy.Answer { return &policy.Answer{Refusal: denied, Cause: cause} }
