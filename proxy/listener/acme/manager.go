// Package acme obtains certificates from an authority by ACME (RFC 8555), for the
// hosts of tenants that ask for that, and renews them. It answers the authority's
// challenges, keeps what it has in a Storage that gateways may share, and says what
// has become of each name. Which certificate a client gets is decided in
// proxy/listener/certificates; who has which host, in tenants/route.
//
//	manager := acme.New(acme.Options{Log: log, Covered: set.Has})
//	manager.Use(plan)      // at the start and at each reload; it waits for no authority
//	go manager.Start(ctx)()
//	store.Issued = manager.Find
//
// Names are looked after by one loop, a few at a time. No handshake and no request
// waits for it, but for those for names on demand, which wait within a bound.
package acme

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

const (
	// parallel is how many names are looked after at once, half of them one tenant's at
	// most; see hasRoom.
	parallel = 16
	// lookEvery is the longest time between two looks at all names: the clock may
	// have been set meanwhile.
	lookEvery = time.Minute
	// orderTimeout bounds an order, besides what dns.command may take.
	orderTimeout = 5 * time.Minute
)

// Options says what a manager works with.
type Options struct {
	Log zerolog.Logger
	// Covered reports whether there is a certificate for a name already, so that none
	// is ordered; nil is never.
	Covered func(name string) bool
	// Now is the time; nil is the system's.
	Now func() time.Time
}

// Manager looks after the certificates of the names of a plan. Its methods may be
// called concurrently.
type Manager struct {
	log     zerolog.Logger
	now     func() time.Time
	covered func(name string) bool

	challenges *challenges
	active     atomic.Bool // there is a plan
	wake       chan struct{}
	counters   counters
	account    sync.Mutex // held while the account is looked up or made

	mu       sync.RWMutex // guards all below, and the entries
	plan     *Plan        // nil: nothing is to be done
	entries  map[string]*entry
	paused   time.Time            // until when the authority wants to be left alone
	worked   string               // the challenge that has been met last
	running  context.Context      //nolint:containedctx // Start's, for what handshakes begin; nil while it doesn't run
	work     sync.WaitGroup       // what run waits for; added to while running isn't nil
	flights  map[string]*flight   // names on demand that are on their way
	refusals map[string]time.Time // names that an ask has refused, until when
	busy     map[string]int       // entries that are being looked after, by tenant
	allBusy  int                  // their sum
}

// New returns a manager that has nothing to do yet.
func New(o Options) *Manager {
	m := &Manager{
		log: o.Log, now: o.Now, covered: o.Covered,
		challenges: newChallenges(), wake: make(chan struct{}, 1),
		entries: map[string]*entry{}, flights: map[string]*flight{}, refusals: map[string]time.Time{}, busy: map[string]int{},
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.covered == nil {
		m.covered = func(string) bool { return false }
	}
	return m
}

// Use takes up a plan; nil is none. Names that it hasn't any more are given up, new
// ones are loaded from the storage before it returns, if they are there. What has
// to be ordered is ordered later.
func (m *Manager) Use(p *Plan) {
	m.mu.Lock()
	before := m.plan
	continued := p != nil && p.continues(before)
	if continued {
		p.adopt(before)
	} else {
		m.drop(func(*entry) bool { return true })
		m.paused, m.worked = time.Time{}, ""
	}
	m.plan = p
	m.active.Store(p != nil)
	clear(m.refusals)
	if before != nil {
		before.close()
	}
	if p == nil {
		m.mu.Unlock()
		return
	}
	wanted := p.names.wanted(p.wildcards())
	m.drop(func(e *entry) bool {
		if e.demanded && !isWanted(wanted, e.name) {
			of, _ := p.names.find(e.name)
			e.tenant = of.tenant
			return !p.decides(of)
		}
		return !isWanted(wanted, e.name)
	})
	var fresh []*entry
	for name, tenant := range wanted {
		e := m.entries[keyFor(name)]
		if e == nil {
			e = newEntry(name, tenant, m.wall())
			e.busy = true // until it is loaded
			m.entries[keyFor(name)] = e
			fresh = append(fresh, e)
		}
		e.tenant, e.demanded = tenant, false
	}
	m.mu.Unlock()
	m.loadAll(p, fresh)
	m.look()
}

func isWanted(wanted map[string]string, name string) bool {
	_, ok := wanted[name]
	return ok
}

// drop gives up entries; it needs m.mu.
func (m *Manager) drop(which func(*entry) bool) {
	for key, e := range m.entries {
		if which(e) {
			delete(m.entries, key)
			e.conclude()
		}
	}
}

// loadAll takes up what the storage has, by all processors at once.
func (m *Manager) loadAll(p *Plan, list []*entry) {
	var at atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		wait.Go(func() {
			for i := at.Add(1) - 1; i < int64(len(list)); i = at.Add(1) - 1 {
				c, err := p.stored(list[i].name)
				m.mu.Lock()
				list[i].busy = false
				if err == nil {
					list[i].install(c, m.wall())
				}
				m.mu.Unlock()
			}
		})
	}
	wait.Wait()
}

// stored reads the certificate of a name; the error says why there is none that
// can be used.
func (p *Plan) stored(name string) (*certificates.Certificate, error) {
	text, err := p.storage.Load(p.certificateKey(name))
	if err != nil {
		return nil, err
	}
	return parseFor(name, text)
}

// wall is the time without what Go knows of its passing: what is planned is planned
// by the clock.
func (m *Manager) wall() time.Time { return m.now().Round(0) }

// look has run look at all names now.
func (m *Manager) look() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Start has handshakes find certificates on demand from now on. The function that it
// returns looks after the names until ctx is done, and what was begun has ended.
func (m *Manager) Start(ctx context.Context) (run func()) {
	m.mu.Lock()
	m.running = ctx
	m.mu.Unlock()
	return func() { m.run(ctx) }
}

func (m *Manager) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			m.mu.Lock()
			m.running = nil
			p := m.plan
			m.mu.Unlock()
			m.work.Wait()
			if p != nil {
				p.close()
			}
			return
		case <-m.wake:
		case <-timer.C:
		}
		timer.Reset(m.begin(ctx))
	}
}

// begin begins with what is due, as far as there is room, and returns when the next
// look is.
func (m *Manager) begin(ctx context.Context) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, next := m.wall(), lookEvery
	if m.plan == nil {
		return next
	}
	for _, e := range m.dueFirst(now) {
		if wait := e.next.Sub(now); wait > 0 {
			next = min(next, wait)
			break
		}
		if m.allBusy >= 2*parallel {
			break // whoever ends next looks again
		}
		if !hasRoom(m.busy[e.tenant], m.allBusy, parallel) {
			continue // likewise, and others have room
		}
		m.busy[e.tenant]++
		m.allBusy++
		e.busy = true
		plan, task := m.plan, e.task()
		m.work.Go(func() {
			m.attend(ctx, plan, e, task)
			m.look()
		})
	}
	return max(next, 10*time.Millisecond)
}

// dueFirst lists what isn't being looked after, what is due first at the beginning;
// it needs m.mu. What would be due a long time from now is due at once: the clock
// has been put back.
func (m *Manager) dueFirst(now time.Time) []*entry {
	list := make([]*entry, 0, len(m.entries))
	for _, e := range m.entries {
		if e.busy {
			continue
		}
		if e.next.Sub(now) > longestPlan {
			e.next = now
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return a.next.Compare(b.next) })
	return list
}

// Active reports whether there is a plan.
func (m *Manager) Active() bool { return m.active.Load() }

// Status says what has become of each name, in their order.
func (m *Manager) Status() []Status {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]Status, 0, len(m.entries))
	for _, e := range slices.SortedFunc(maps.Values(m.entries), func(a, b *entry) int { return strings.Compare(a.name, b.name) }) {
		list = append(list, e.status())
	}
	return list
}
