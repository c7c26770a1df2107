package ip

import (
	"errors"
	"fmt"

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
	for _, prefix := range p.denied {
		if prefix.Contains(r.Client.Unmap().WithZone("")) {
			return fmt.Errorf("client %s is in %s of deny", r.Client, prefix)
		}
	}
	return fmt.Errorf("client %s is in deny", r.Client)
}

func refuse(cause error) *policy.Answer { return &policy.Answer{Refusal: denied, Cause: cause} }
