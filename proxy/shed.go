package proxy

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// holder is a tenant by what it holds, or the connections that belong to none, or
// a load of scripts that are not in use yet.
type holder struct {
	name    string
	account *memory.Account
	scripts *lua.Scripts  // nil without
	load    *lua.LoadView // nil: it is none
	clients int64         // bytes that requests hold outside of scripts
	vms     int64         // bytes that scripts hold
}

func (h *holder) total() int64 { return h.clients + h.vms }

// shedding is what is done about a heavy holder, from the mildest on.
type shedding uint8

const (
	shedNothing shedding = iota
	// shedWork has new bodies and scripts refused, and drops the VMs.
	shedWork
	// shedConnections cuts those that hold most.
	shedConnections
	// shedLoad gives up what is being loaded, and nothing that is in use.
	shedLoad
)

// Times of shedding, in nanoseconds.
const (
	// shedSettle is how long the effect of what was done is waited for.
	shedSettle = int64(300 * time.Millisecond)
	// leastShed is how long a holder is relieved at least. Each time that it comes
	// to that again within shedMemory it is for twice as long, up to mostShed.
	leastShed  = int64(time.Second)
	mostShed   = int64(30 * time.Second)
	shedMemory = int64(time.Minute)
	// shedPatience is for how long beyond that the pressure may keep it.
	shedPatience = 2
)

// shedder decides who is relieved of memory, and when that ends. It does
// nothing itself, so that tests need neither clock nor memory.
type shedder struct {
	acted  int64 // when something was done last
	states map[*memory.Account]*shedState
}

type shedState struct {
	on     bool
	since  int64
	length int64 // of the time in which it is on at least
	ended  int64
}

// judge says whom to relieve at that time, and how, and who no longer has to
// be. pressure is what is held of the ceiling; 0 is none, which a reload may bring. Holders that are light are left
// alone unless the process is in danger by what all of them hold together: of
// what nobody in the list holds, such as scripts that are being loaded, they
// couldn't relieve it.
func (d *shedder) judge(now, ceiling, pressure int64, holders []holder) (do shedding, who *holder, released []*memory.Account) {
	for account, state := range d.states {
		switch past := now - state.since - state.length; {
		case !state.on && now-state.ended > shedMemory:
			delete(d.states, account)
		case state.on && past >= 0 && (ceiling <= 0 || pressure <= ceiling/8*7 || pressure <= ceiling && past >= shedPatience*state.length):
			state.on, state.ended = false, now
			released = append(released, account)
		}
	}
	if ceiling <= 0 || pressure <= ceiling || now-d.acted < shedSettle {
		return shedNothing, nil, released
	}
	least := ceiling / memory.LightShare
	if pressure > ceiling+ceiling/4 && sum(holders) > ceiling/2 {
		least = 0
	}
	for i := range holders {
		h := &holders[i]
		if h.total() > least && (who == nil || h.total() > who.total()) {
			who = h
		}
	}
	if who == nil {
		return shedNothing, nil, released
	}
	d.acted = now
	if who.load != nil {
		return shedLoad, who, released
	}
	return d.begin(now, who.account), who, released
}

func sum(holders []holder) (bytes int64) {
	for i := range holders {
		bytes += holders[i].total()
	}
	return bytes
}

// begin relieves a holder, or goes further where it is being relieved already.
func (d *shedder) begin(now int64, account *memory.Account) shedding {
	state := d.states[account]
	switch {
	case state == nil:
		if d.states == nil {
			d.states = map[*memory.Account]*shedState{}
		}
		d.states[account] = &shedState{on: true, since: now, length: leastShed}
		return shedWork
	case !state.on:
		state.on, state.since, state.length = true, now, min(2*state.length, mostShed)
		return shedWork
	}
	state.since = now
	return shedConnections
}
