package securityheaders

import (
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	p := &protection{override: c.Override}
	for _, l := range c.lines() {
		if *l.value != "" {
			p.fields = append(p.fields, newField(l.name, *l.value))
		}
	}
	if seconds := int64(c.HSTSMaxAge.Std().Seconds()); seconds > 0 {
		value := fmt.Sprintf("max-age=%d", seconds)
		if c.HSTSSubdomains {
			value += "; includeSubDomains"
		}
		if c.HSTSPreload {
			value += "; preload"
		}
		p.overTLS = append(p.fields[:len(p.fields):len(p.fields)], newField("Strict-Transport-Security", value))
	} else {
		p.overTLS = p.fields
	}
	for _, name := range c.Hide {
		p.hide = append(p.hide, strings.ToLower(name))
	}
	return p, nil
}

// field is one that is added, or removed where it has come without TLS.
type field struct {
	name, value []byte
	lower       string
}

func newField(name, value string) field {
	return field{[]byte(name), []byte(value), strings.ToLower(name)}
}

// protection is the policy.
type protection struct {
	fields   []field
	overTLS  []field // and Strict-Transport-Security
	hide     []string
	override bool
}

// Judge lets all pass.
func (p *protection) Judge(*policy.Request) (*policy.Answer, error) { return nil, nil }

// Amend adds the fields that a response doesn't have.
func (p *protection) Amend(r *policy.Request, response *policy.Response) {
	h := response.Header
	for _, name := range p.hide {
		drop(*h, name)
	}
	fields := p.fields
	if r.Secure {
		fields = p.overTLS
	}
	for i := range fields {
		f := &fields[i]
		if p.override {
			drop(*h, f.lower)
		} else if policy.Lines(*h, f.lower) > 0 {
			continue
		}
		*h = append(*h, message.Field{Name: f.name, Value: f.value})
	}
}

func drop(h message.Header, lower string) {
	for i := range h {
		if message.EqualFold(h[i].Name, lower) {
			h[i].Dropped = true
		}
	}
}

// Explain is policy.Explainer's.
func (p *protection) Explain(*policy.Request) string { return "it concerns responses only" }
