package acme

import (
	"context"
	"crypto/tls"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// counters are of what has happened since the start.
type counters struct {
	orders, obtained, failed, limited, overBudget atomic.Uint64
	allowed, refused, unanswered, turnedAway      atomic.Uint64
}

// Counters are figures since the start.
type Counters struct {
	Orders     uint64 // placed, one for each challenge that was tried
	Obtained   uint64 // certificates
	Failed     uint64 // tries
	Limited    uint64 // of these, because the authority wants to be asked less
	OverBudget uint64 // tries that were put off
	Allowed    uint64 // asks that were answered with yes
	Refused    uint64 // with no
	Unanswered uint64 // not at all
	TurnedAway uint64 // names on demand for which nobody was asked: there were too many
}

// Counters returns the figures.
func (m *Manager) Counters() Counters {
	c := &m.counters
	return Counters{
		c.orders.Load(), c.obtained.Load(), c.failed.Load(), c.limited.Load(), c.overBudget.Load(),
		c.allowed.Load(), c.refused.Load(), c.unanswered.Load(), c.turnedAway.Load(),
	}
}

const (
	// maxFlights is how many names on demand are on their way, but for one each of
	// tenants that have none when there is no room: then it may be twice as many.
	maxFlights = 64
	// maxRefusals bounds the names that are remembered to be refused.
	maxRefusals = 10_000
	// unansweredPause is how long a name is refused whose ask was not answered.
	unansweredPause = 10 * time.Second
)

// flight is a name on demand on its way from an ask to its certificate.
type flight struct {
	tenant string
	done   chan struct{}
	cert   *certificates.Certificate // once done is closed; nil is none
}

// Find returns the certificate for the name that a client asks for; nil is none.
// A name on demand that has none yet is waited for, for on_demand.wait at most.
// Otherwise it allocates nothing for names in lower case.
func (m *Manager) Find(hello *tls.ClientHelloInfo) *certificates.Certificate {
	if !m.active.Load() {
		return nil
	}
	name := strings.ToLower(hello.ServerName)
	if !Certifiable(name) || name[0] == '*' {
		return nil
	}
	m.mu.RLock()
	p, e := m.plan, m.entries[name]
	if e == nil || e.cert == nil {
		if wild := m.entries[name[strings.IndexByte(name, '.'):]]; wild != nil && wild.cert != nil {
			e = wild
		}
	}
	var found *certificates.Certificate
	if e != nil && e.cert != nil {
		if found = e.cert; !e.used.Load() {
			e.used.Store(true)
		}
	}
	m.mu.RUnlock()
	if found != nil || p == nil {
		return found
	}
	of, spelt := p.names.find(name)
	if spelt || !p.decides(of) {
		return nil
	}
	return m.demand(hello.Context(), p, name, of.tenant)
}

// demand waits for the certificate of a name, if it may have one.
func (m *Manager) demand(ctx context.Context, p *Plan, name, tenant string) *certificates.Certificate {
	f := m.join(p, name, tenant)
	if f == nil {
		return nil
	}
	timer := time.NewTimer(p.config.OnDemand.Wait.Std())
	defer timer.Stop()
	select {
	case <-f.done:
		return f.cert
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// join returns the flight of a name, or begins one; nil is none.
func (m *Manager) join(p *Plan, name, tenant string) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[name]; f != nil {
		return f
	}
	now := m.wall()
	if until, ok := m.refusals[name]; ok {
		if left := until.Sub(now); left > 0 && left <= p.config.OnDemand.Remember.Std() {
			return nil
		}
		delete(m.refusals, name)
	}
	if m.plan != p { // a reload has just come between
		if p = m.plan; p == nil {
			return nil
		}
		of, spelt := p.names.find(name)
		if spelt || !p.decides(of) {
			return nil
		}
		tenant = of.tenant
	}
	if m.running == nil || m.entries[name] != nil { // the entry's failure has been told, and it is tried again
		return nil
	}
	own := 0
	for _, f := range m.flights {
		if f.tenant == tenant {
			own++
		}
	}
	if !hasRoom(own, len(m.flights), maxFlights) {
		m.counters.turnedAway.Add(1)
		return nil
	}
	f := &flight{tenant: tenant, done: make(chan struct{})}
	m.flights[name] = f
	running := m.running
	m.work.Go(func() {
		p, cert, refuse := m.fly(running, p, name, tenant)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.flights, name)
		if refuse > 0 && m.plan == p {
			m.refuse(name, m.wall().Add(refuse))
		}
		f.cert = cert
		close(f.done)
	})
	return f
}

// hasRoom says whether a tenant that has own of all places may have another one: while it
// has fewer than are left, so that several that are attacked at once leave some to
// others; and one in any case, until there are twice as many as there should be.
func hasRoom(own, all, most int) bool {
	return own < most-all || own == 0 && all < 2*most
}

// refuse remembers that a name is refused; it needs m.mu.
func (m *Manager) refuse(name string, until time.Time) {
	if len(m.refusals) >= maxRefusals {
		for other := range m.refusals { // any: whoever floods us gains one more question
			delete(m.refusals, other)
			break
		}
	}
	m.refusals[name] = until
}

// fly takes a name from its first handshake to its certificate, or says for how
// long it is refused, by the plan that has decided at last: where a reload comes
// between, who waits goes on by the plan that it has brought.
func (m *Manager) fly(ctx context.Context, p *Plan, name, tenant string) (by *Plan, cert *certificates.Certificate, refuse time.Duration) {
	for again := false; ; again = true {
		cert, refuse = m.flyBy(ctx, p, name, tenant, again)
		next, of := m.replanned(p, name)
		if cert != nil || next == nil {
			return p, cert, refuse
		}
		p, tenant = next, of
	}
}

// replanned returns the plan that has come after another one, and whose the name is by
// it; nil is none by which it may have a certificate.
func (m *Manager) replanned(before *Plan, name string) (p *Plan, tenant string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if p = m.plan; p == nil || p == before {
		return nil, ""
	}
	if of, spelt := p.names.find(name); spelt && of.auto || !spelt && p.decides(of) {
		return p, of.tenant
	}
	return nil, ""
}

// flyBy is fly by one plan. again says that the question has been paid for.
func (m *Manager) flyBy(ctx context.Context, p *Plan, name, tenant string, again bool) (cert *certificates.Certificate, refuse time.Duration) {
	m.mu.RLock()
	e := m.entries[name]
	m.mu.RUnlock()
	if e != nil { // a reload has kept it, or spells it out
		return m.await(ctx, e), 0
	}
	known, err := p.stored(name) // from before a restart, or another gateway's
	if err != nil || !m.wall().Before(known.NotAfter) {
		known = nil
		if !again && p.asks.take(tenant, m.wall()) > 0 {
			m.counters.turnedAway.Add(1)
			return nil, 0
		}
		switch yes, err := m.asked(ctx, p, name); {
		case err != nil:
			return nil, min(unansweredPause, p.config.OnDemand.Remember.Std())
		case !yes:
			return nil, p.config.OnDemand.Remember.Std()
		}
	}
	e, full := m.admit(p, name, tenant, known)
	switch {
	case full:
		m.counters.turnedAway.Add(1)
		return nil, unansweredPause
	case e == nil:
		return nil, 0
	}
	m.look()
	return m.await(ctx, e), 0
}

// await waits until it is known what has come of an entry.
func (m *Manager) await(ctx context.Context, e *entry) *certificates.Certificate {
	select {
	case <-e.concluded:
	case <-ctx.Done():
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e.cert != nil {
		e.used.Store(true)
	}
	return e.cert
}

// admit makes an entry of a name on demand, unless there are too many, which is full. It
// returns nil, false where there is another plan.
func (m *Manager) admit(p *Plan, name, tenant string, known *certificates.Certificate) (e *entry, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plan != p {
		return nil, false
	}
	if e = m.entries[name]; e != nil {
		return e, false
	}
	all, own := 0, 0
	for _, e := range m.entries {
		if e.demanded {
			if all++; e.tenant == tenant {
				own++
			}
		}
	}
	if most := p.config.OnDemand.MaxNames; all >= most || own >= most/2 {
		m.log.Warn().Str("name", name).Str("tenant", tenant).Int("max_names", most).Int("names_of_tenant", own).
			Msg("a name gets no certificate on demand: there are as many as acme.on_demand.max_names allows")
		return nil, true
	}
	e = newEntry(name, tenant, m.wall())
	e.demanded = true
	if known != nil {
		e.install(known, m.wall())
	}
	m.entries[name] = e
	return e, false
}
