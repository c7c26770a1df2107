package proxy

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// pressure watches what the process holds, and relieves the tenants that hold
// most before it is in danger. It looks as often as the sweeper does.
//
// What is held is counted, but that is an estimate: so it also looks at what the
// garbage collector has found alive. That figure is as old as the last
// collection; after something was dropped it counts again only from the next.
type pressure struct {
	server  *Server
	shedder shedder
	samples []metrics.Sample
	ticks   int
	holders []holder
	warned  map[*memory.Account]refusals

	relieving atomic.Bool // a goroutine drops VMs, and collects
	stale     atomic.Bool // what was found alive is from before that
	wait      sync.WaitGroup
	live      atomic.Int64 // for the admin API
	scripts   atomic.Int64
	cut       atomic.Uint64 // connections
	sheds     atomic.Uint64 // times that a tenant was relieved

	mu   sync.Mutex
	shed map[*memory.Account]Shed // those that are being relieved; guarded by mu
}

// Shed says that a tenant is being relieved of memory.
type Shed struct {
	Tenant string // "" is connections without one
	Since  time.Time
	Reason string
	// Connections says that relieving it of scripts and of new requests was not
	// enough: connections have been cut.
	Connections bool
}

// refusals are of an account, when they were logged last.
type refusals struct {
	count uint64
	at    int64
}

func newPressure(s *Server) *pressure {
	return &pressure{server: s, warned: map[*memory.Account]refusals{}, shed: map[*memory.Account]Shed{}, samples: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"},
	}}
}

func (p *pressure) run(ctx context.Context) {
	defer p.wait.Wait()
	ticker := time.NewTicker(socket.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.look(socket.Nanotime())
		}
	}
}

func (p *pressure) look(now int64) {
	defer func() {
		if cause := recover(); cause != nil {
			p.server.plane.LogPanic(cause)
		}
	}()
	metrics.Read(p.samples)
	live := int64(p.samples[0].Value.Uint64() + p.samples[1].Value.Uint64()) //nolint:gosec // G115: a size
	p.live.Store(live)
	ceiling, counted, scripts := p.server.memory.Ceiling(), p.server.memory.Used(), p.scripts.Load()
	// There may be thousands of tenants.
	if p.ticks++; p.ticks%unhurried == 0 || max(live, counted+scripts) > ceiling/2 {
		scripts = p.list()
		p.warn(now)
	}
	held := counted + scripts
	if !p.stale.Load() {
		held = max(held, live)
	}
	do, who, released := p.shedder.judge(now, ceiling, held, p.holders)
	for _, account := range released {
		p.end(account)
		p.server.log.Info().Str("tenant", p.nameOf(account)).Msg("memory is there again, the tenant is served as before")
	}
	switch do {
	case shedNothing:
		return
	case shedLoad:
		who.load.Relieve("the gateway has too little memory, and what is loaded holds most of it")
		p.relieve(&holder{})
		return
	case shedWork, shedConnections:
	}
	words := "requests of the tenant with a body or a script are answered 503: memory is short, and it holds most"
	if do == shedConnections {
		words = "connections of the tenant are cut: memory is short, and it holds most"
	}
	p.server.log.Error().Str("tenant", who.name).Int64("requests_hold", who.clients).Int64("scripts_hold", who.vms).
		Int64("all_hold", held).Int64("max_memory", ceiling).Bool("connections", do == shedConnections).Msg(words)
	p.begin(who, do == shedConnections, fmt.Sprintf("the gateway holds %d bytes of server.max_memory %d, and this tenant most of it: its requests %d, its scripts %d",
		held, ceiling, who.clients, who.vms))
	if do == shedConnections {
		p.server.clients.CutHeaviest(who.account, who.clients/2, now, &p.cut)
	}
	p.relieve(who)
}

// begin has a tenant's requests refused memory, and says so.
func (p *pressure) begin(who *holder, connections bool, reason string) {
	who.account.SetShedding(true)
	p.sheds.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	shed, before := p.shed[who.account]
	if !before {
		shed = Shed{Tenant: who.name, Since: time.Now(), Reason: reason}
	}
	shed.Connections = shed.Connections || connections
	p.shed[who.account] = shed
}

func (p *pressure) end(account *memory.Account) {
	account.SetShedding(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shed, account)
}

// shedding lists those that are being relieved, by name.
func (p *pressure) shedding() (list []Shed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, shed := range p.shed {
		list = append(list, shed)
	}
	slices.SortFunc(list, func(a, b Shed) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return list
}

// unhurried is at every how many looks tenants are looked at while memory is
// plenty.
const unhurried = 10

// list fills in what everybody holds, and returns what scripts do.
func (p *pressure) list() (scripts int64) {
	clear(p.holders)
	p.holders = append(p.holders[:0], holder{account: &p.server.unrouted.Memory, clients: p.server.unrouted.Memory.Used()})
	for _, t := range p.server.current.Load().tenants {
		h := holder{name: t.Name, account: &t.Stats.Memory, scripts: t.Scripts, clients: t.Stats.Memory.Used()}
		if t.Scripts != nil {
			h.vms = t.Scripts.Memory()
			scripts += h.vms
		}
		p.holders = append(p.holders, h)
	}
	p.server.loads.Each(0, func(l lua.LoadView) {
		p.holders = append(p.holders, holder{name: l.Tenant, account: new(memory.Account), load: &l, vms: l.Bytes})
	})
	scripts += p.server.loads.Held()
	p.scripts.Store(scripts)
	return scripts
}

func (p *pressure) nameOf(account *memory.Account) string {
	i := slices.IndexFunc(p.holders, func(h holder) bool { return h.account == account })
	if i < 0 {
		return "" // it has gone with a reload
	}
	return p.holders[i].name
}

// relieve drops a tenant's VMs and collects what has become garbage, on a
// goroutine: both take a while.
func (p *pressure) relieve(who *holder) {
	if !p.relieving.CompareAndSwap(false, true) {
		return
	}
	p.stale.Store(true)
	scripts := who.scripts
	if who.vms <= who.total()/8 {
		scripts = nil // they are not what is heavy
	}
	p.wait.Go(func() {
		defer p.relieving.Store(false)
		defer p.stale.Store(false)
		defer func() {
			if cause := recover(); cause != nil {
				p.server.plane.LogPanic(cause)
			}
		}()
		if scripts != nil {
			scripts.Shed("the gateway has too little memory, and the tenant's scripts hold most of it")
		}
		runtime.GC()
	})
}

// warn logs that requests are refused memory, at most every ten seconds for a
// tenant.
func (p *pressure) warn(now int64) {
	const pause = int64(10 * time.Second)
	if was := p.warned; len(was) > len(p.holders) { // of tenants that are gone
		p.warned = map[*memory.Account]refusals{}
		for i := range p.holders {
			if r, known := was[p.holders[i].account]; known {
				p.warned[p.holders[i].account] = r
			}
		}
	}
	for i := range p.holders {
		h := &p.holders[i]
		last, count := p.warned[h.account], h.account.Refused()
		if count == last.count || last.at != 0 && now-last.at < pause {
			continue
		}
		p.warned[h.account] = refusals{count, now}
		p.server.log.Warn().Str("tenant", h.name).Int64("held", h.clients).Int64("max_client_memory", h.account.Limit()).
			Uint64("refused", count-last.count).Msg("requests of the tenant are answered 503, or have to do with less memory: they hold as much as they may")
	}
}

// MemoryView is what the process holds.
type MemoryView struct {
	// Ceiling is server.max_memory, resolved; 0 is none.
	Ceiling int64
	// Held is what requests and connections hold, Scripts what VMs do, as
	// counted; Live is what the garbage collector found alive, stacks included.
	Held, Scripts, Live int64
	// Shedding are the tenants that are being relieved.
	Shedding []Shed
	// Sheds counts how often that was begun, or went further. Cut counts
	// connections that were cut for what they held.
	Sheds, Cut uint64
}

// Memory returns what the process holds.
func (s *Server) Memory() MemoryView {
	return MemoryView{
		Ceiling: s.memory.Ceiling(), Held: s.memory.Used(), Scripts: s.pressure.scripts.Load(), Live: s.pressure.live.Load(),
		Shedding: s.pressure.shedding(), Sheds: s.pressure.sheds.Load(), Cut: s.pressure.cut.Load(),
	}
}
