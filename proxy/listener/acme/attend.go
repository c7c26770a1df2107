package acme

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// task is what is known of an entry when it begins to be looked after.
type task struct {
	entry        *entry // for its lock's owner
	name, tenant string
	demanded     bool
	cert         *certificates.Certificate
	used         bool
	renewal, ask time.Time
	failures     int
}

// task needs the manager's lock.
func (e *entry) task() *task {
	return &task{e, e.name, e.tenant, e.demanded, e.cert, e.used.Load(), e.renewal, e.ask, e.failures}
}

// outcome is what has come of it. At most one of fresh, pause and err is set, or
// none: all is as it should be.
type outcome struct {
	fresh   *certificates.Certificate // to be installed
	ordered bool                      // it was ordered just now
	worked  string                    // the challenge that has proved the name
	kept    error                     // why fresh is not in the storage
	pause   time.Duration             // nothing has failed, but it has to wait
	why     string                    // for what; "" with pause is for nothing
	covered bool                      // by a file
	ended   string                    // why the name isn't looked after any more
	err     error

	renewal, ask time.Time // when to renew, and to ask for that again
}

const (
	// coveredPause is how long a name is left alone that a file has a certificate for.
	coveredPause = time.Minute
	// elsewherePause is how long one is left alone that another gateway is ordering.
	elsewherePause = 2 * time.Second
)

// attend does what is due for a name, and plans what is next.
func (m *Manager) attend(ctx context.Context, p *Plan, e *entry, t *task) {
	out := m.try(ctx, p, t)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[t.tenant]--; m.busy[t.tenant] == 0 {
		delete(m.busy, t.tenant)
	}
	m.allBusy--
	e.busy, e.ordering = false, false
	if m.entries[keyFor(e.name)] != e || ctx.Err() != nil { // it was given up meanwhile
		return
	}
	now := m.wall()
	switch {
	case out.ended != "":
		delete(m.entries, keyFor(e.name))
		e.conclude()
		m.log.Info().Str("name", t.name).Str("tenant", t.tenant).Str("reason", out.ended).Msg("a certificate on demand is given up")
	case out.err != nil:
		m.failed(e, &out, now)
	case out.fresh != nil:
		m.installed(e, &out, now)
	case out.covered:
		e.state, e.err, e.next = Covered, "", now.Add(out.pause)
		e.conclude()
	case out.pause > 0:
		if e.state == Covered {
			e.state = Waiting
		}
		e.err, e.next = out.why, now.Add(out.pause)
		if e.demanded && out.why != errElsewhere.Error() {
			e.conclude()
		}
	default:
		e.state, e.renewal, e.ask = Valid, out.renewal, out.ask
		e.plan(now)
	}
}

// installed takes up what a try has brought; it needs m.mu.
func (m *Manager) installed(e *entry, out *outcome, now time.Time) {
	first := e.cert == nil
	e.install(out.fresh, now)
	if out.ordered || !first { // else what the storage has may be due at once
		if least := now.Add(leastAge(out.fresh)); e.next.Before(least) && !e.renewal.After(now) {
			e.next = least
		}
	}
	if !out.ordered {
		return
	}
	m.counters.obtained.Add(1)
	m.worked = out.worked
	event, words := m.log.Info(), "a certificate was obtained"
	if out.kept != nil {
		e.err, e.errAt = "the certificate can't be kept: "+cause.Short(out.kept), now
		event, words = m.log.Error().Str("error", e.err), "a certificate was obtained, and has to be ordered again after a restart: it can't be kept"
	}
	event.Str("name", e.name).Str("tenant", e.tenant).Str("challenge", out.worked).Time("not_after", out.fresh.NotAfter).Bool("renewed", !first).Msg(words)
	if out.fresh.NotAfter.Before(now) {
		m.log.Warn().Str("name", e.name).Time("not_after", out.fresh.NotAfter).Msg("clients get a certificate that has ended already, although it is new: is the clock right?")
	}
}

// failed plans another try; it needs m.mu.
func (m *Manager) failed(e *entry, out *outcome, now time.Time) {
	m.counters.failed.Add(1)
	e.failures++
	if e.demanded && e.cert == nil && e.failures >= mostTries {
		delete(m.entries, e.name)
		m.refuse(e.name, now.Add(m.plan.config.OnDemand.Remember.Std()))
	}
	pause := backoff(e.failures)
	if limited, ok := errors.AsType[*limitedError](out.err); ok {
		m.counters.limited.Add(1)
		pause = max(pause, limited.after)
		m.paused = now.Add(min(max(limited.after, time.Second), firstPause)) // whether it is about this name alone isn't said
	}
	e.state, e.err, e.errAt, e.next = Failing, cause.Short(out.err), now, now.Add(min(pause, longestPause))
	e.conclude()
	words := "clients that ask for the name get no certificate for it: none can be obtained"
	if e.cert != nil {
		words = "clients get the certificate that there is: no new one can be obtained"
	}
	m.log.Warn().Str("name", e.name).Str("tenant", e.tenant).Str("error", e.err).Int("failures", e.failures).Time("next_try", e.next).
		Bool("old_one_stays", e.cert != nil).Msg(words)
}

// mostTries is how often a name on demand is tried before it makes room for others.
const mostTries = 3

// errElsewhere says that another gateway is at it.
var errElsewhere = errors.New("another gateway is ordering it")

// try does what is due for a name.
func (m *Manager) try(ctx context.Context, p *Plan, t *task) outcome {
	if m.covered(t.name) {
		return outcome{covered: true, pause: coveredPause}
	}
	now := m.wall()
	if t.cert != nil && now.Before(t.renewal) {
		out := m.askRenewal(ctx, p, t, now)
		if out.renewal.After(now) {
			return out
		}
	}
	if t.demanded && t.cert != nil {
		if !t.used && now.After(t.cert.NotAfter) {
			_ = p.storage.Delete(p.certificateKey(t.name))
			return outcome{ended: "nobody has asked for it"}
		}
		if !t.used {
			return outcome{pause: min(longestPause, max(t.cert.NotAfter.Sub(now)/2, time.Minute))} // until somebody does
		}
		switch yes, err := m.asked(ctx, p, t.name); {
		case err != nil:
			return outcome{err: err}
		case !yes:
			_ = p.storage.Delete(p.certificateKey(t.name))
			return outcome{ended: "whoever says which names may have one refuses it"}
		}
	}
	return m.orderOnce(ctx, p, t)
}

// askRenewal asks the authority when to renew (RFC 9773), if it is time for that.
func (m *Manager) askRenewal(ctx context.Context, p *Plan, t *task, now time.Time) outcome {
	out := outcome{renewal: t.renewal, ask: t.ask}
	if now.Before(t.ask) {
		return out
	}
	out.ask = now.Add(askAgain + jitter(askAgain/8))
	leaf, err := t.cert.Leaf()
	if err != nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	info, err := p.authority.client.GetRenewalInfo(ctx, leaf)
	if err != nil { // it knows none, or can't be reached: the certificate's own time stays
		return out
	}
	if info.RetryAfter != nil {
		out.ask = now.Add(min(max(time.Until(*info.RetryAfter), time.Minute), longestPause))
	}
	if start, end := info.SuggestedWindow.Start, info.SuggestedWindow.End; t.renewal.Before(start) || t.renewal.After(end) {
		out.renewal = info.SelectedTime.Round(0)
	}
	if least := t.cert.NotBefore.Add(leastAge(t.cert)); out.renewal.Before(least) {
		out.renewal = least.Round(0)
	}
	return out
}

// orderOnce orders a certificate, unless another gateway does, or has, or it would
// be too many.
func (m *Manager) orderOnce(ctx context.Context, p *Plan, t *task) outcome {
	if wait := m.pausedFor(); wait > 0 {
		return outcome{pause: wait, why: "the authority has asked for a pause"}
	}
	release, ok, err := p.storage.Lock(p.lockKey(t.name))
	if err != nil {
		return outcome{err: fmt.Errorf("cannot lock the storage: %w", err)}
	}
	if !ok {
		return outcome{pause: elsewherePause, why: errElsewhere.Error()}
	}
	defer release()
	now := m.wall()
	if c, err := p.stored(t.name); err == nil && now.Before(c.NotAfter) && (t.cert == nil || c.NotAfter.After(t.cert.NotAfter)) {
		return outcome{fresh: c}
	}
	if t.cert == nil {
		if wait := p.orders.take(t.tenant, now); wait > 0 {
			m.counters.overBudget.Add(1)
			return outcome{pause: wait, why: "as many certificates as orders_per_hour or orders_per_hour_and_tenant allow were ordered"}
		}
	}
	m.mu.Lock()
	t.entry.ordering = true
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	var out outcome
	err = noted(ctx, func(ctx context.Context) error { return m.order(ctx, p, t, &out) })
	if err != nil {
		return outcome{err: err}
	}
	return out
}

// pausedFor is how long the authority wants to be left alone.
func (m *Manager) pausedFor() time.Duration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return min(m.paused.Sub(m.wall()), firstPause) // less, if the clock has been put back
}

// order goes through the challenges until one proves the name.
func (m *Manager) order(ctx context.Context, p *Plan, t *task, out *outcome) error {
	account, err := m.accountOf(ctx, p, false)
	if err != nil {
		return err
	}
	o := &order{authority: p.authority, account: account, name: t.name, solvers: p.solvers(m.challenges)}
	if t.cert != nil {
		o.replaces, _ = t.cert.Leaf() // without it, it counts as another one
	}
	var unproven error
	for _, kind := range m.kinds(p, t.name) {
		m.counters.orders.Add(1)
		text, err := o.obtain(ctx, kind)
		if forgotten(err) {
			if o.account, err = m.accountOf(ctx, p, true); err != nil {
				return err
			}
			text, err = o.obtain(ctx, kind)
		}
		if failed, ok := errors.AsType[*unprovenError](err); ok && ctx.Err() == nil {
			unproven = errors.Join(unproven, failed)
			continue
		}
		if err != nil {
			return err
		}
		if out.fresh, err = parseFor(t.name, text); err != nil {
			return err
		}
		out.ordered, out.worked, out.kept = true, kind, p.storage.Save(p.certificateKey(t.name), text)
		return nil
	}
	if unproven == nil {
		return errNoChallenge
	}
	return unproven
}

// kinds are the challenges that can prove a name, what has worked last at the
// beginning.
func (m *Manager) kinds(p *Plan, name string) (list []string) {
	if name[0] == '*' {
		return []string{DNS01}
	}
	m.mu.RLock()
	worked := m.worked
	m.mu.RUnlock()
	for _, kind := range p.config.challenges() {
		if kind == worked {
			list = append([]string{kind}, list...)
		} else {
			list = append(list, kind)
		}
	}
	return list
}

const (
	// accountPause is the time between two tries to lock the account.
	accountPause = 200 * time.Millisecond
)

// accountOf returns the account, which is looked up and made by one at a time. anew
// says that the authority has forgotten the one in the storage.
func (m *Manager) accountOf(ctx context.Context, p *Plan, anew bool) (account acme.Account, err error) {
	m.account.Lock()
	defer m.account.Unlock()
	release, err := lockAccount(ctx, p)
	if err != nil {
		return account, err
	}
	defer release()
	if anew {
		return p.authority.register(ctx, p.storage)
	}
	return p.authority.account(ctx, p.storage)
}

// lockAccount waits for the account's lock.
func lockAccount(ctx context.Context, p *Plan) (release func(), err error) {
	for {
		release, ok, err := p.storage.Lock("locks/" + p.authority.key + "/_account")
		if err != nil {
			return nil, fmt.Errorf("cannot lock the storage: %w", err)
		}
		if ok {
			return release, nil
		}
		timer := time.NewTimer(accountPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("another gateway holds the account: %w", ctx.Err())
		}
	}
}
