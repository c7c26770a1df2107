package maintenance

import (
	"strconv"
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	p := &pause{config: c, page: c.content}
	if c.File == "" && c.Text != "" {
		p.page = []byte(c.Text)
	}
	p.allow, p.unix = network.ParseSet(c.Allow)
	p.on.Store(c.Enabled)
	if seconds := int64(c.RetryAfter.Std().Seconds()); seconds > 0 {
		p.header = append(p.header, message.Field{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, seconds, 10)})
	}
	p.header = append(p.header, message.Field{Name: []byte("Cache-Control"), Value: []byte("no-store"), ID: message.CacheControl})
	if len(p.page) > 0 {
		p.header = append(p.header, message.Field{Name: []byte("Content-Type"), Value: []byte(policy.TypeOf(p.page, c.ContentType)), ID: message.ContentType})
	}
	return p, nil
}

// pause is the policy.
type pause struct {
	config *Config
	on     atomic.Bool
	page   []byte // nil: it is worded as all refusals are
	header message.Header
	allow  network.Set
	unix   bool
}

// Judge answers while it is on.
func (p *pause) Judge(r *policy.Request) (*policy.Answer, error) {
	if !p.on.Load() || p.allows(r) {
		return nil, nil
	}
	return &policy.Answer{Refusal: refused, Status: p.config.Status, Header: p.header, Body: p.page}, nil
}

func (p *pause) allows(r *policy.Request) bool {
	if !r.Client.IsValid() {
		return p.unix && !r.Unnamed
	}
	return p.allow.Contains(r.Client)
}

// Switched is policy.Switch's.
func (p *pause) Switched() bool { return p.on.Load() }

// Switch is policy.Switch's.
func (p *pause) Switch(on bool) { p.on.Store(on) }

// Explain is policy.Explainer's.
func (p *pause) Explain(*policy.Request) string {
	if p.on.Load() {
		return "the client is in allow"
	}
	return "there is no maintenance now"
}
