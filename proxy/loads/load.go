// Package loads has the scripts of many tenants loaded: so many at once that one
// tenant's wait isn't another's, each again that has failed for want of time or
// memory. What a load is for, and when its result is put into use, is the caller's.
//
//	round := loads.Begin(list, running)
//	round.Await(time.Second, true)
//	list[0].HasEnded() // else it goes on, and nobody waits for it
package loads

import (
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// Load is the loading of one tenant's scripts.
type Load struct {
	Options lua.Options  // which name the tenant
	Have    *lua.Scripts // in use; nil for none
	Known   *Load        // whose result this one is to have; nil for none

	// Once it has ended:
	Scripts *lua.Scripts
	Err     error
	Pending bool // Known had not ended: there is neither Scripts nor Err

	done chan struct{} // closed at its end
}

// New returns a load that Begin can begin.
func New(options lua.Options, have *lua.Scripts, known *Load) *Load {
	return &Load{Options: options, Have: have, Known: known, done: make(chan struct{})}
}

// HasEnded reports whether the result is there.
func (l *Load) HasEnded() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Wait returns when the result is there.
func (l *Load) Wait() { <-l.done }

// passing reports whether it has failed for want of time or memory.
func (l *Load) passing() bool {
	list, _ := errors.AsType[lua.BrokenScripts](l.Err) // none isn't passing either
	return list.Passing()
}

// isKnown reports whether it is clear without a look at any file that the scripts in
// use are what is asked for.
func (l *Load) isKnown() bool { return l.Known == nil && l.Have != nil && l.Have.Unchanged(&l.Options) }

// run ends when the tenant's lua.load_timeout does, whatever the scripts do.
func (l *Load) run(s *slot) {
	if l.Known != nil {
		if l.Pending = !l.Known.HasEnded(); !l.Pending {
			l.Scripts, l.Err = l.Known.Scripts, l.Known.Err
		}
		return
	}
	if l.Have != nil && l.Have.Current(&l.Options) {
		l.Scripts = l.Have
		return
	}
	options := l.Options
	options.Waiting, options.Yield = s.wait, s.yield
	l.Scripts, l.Err = lua.Load(options)
}

// Round is loads that were begun together.
type Round struct {
	loads int
	begun chan struct{} // closed when all have been
	ended chan *Load
}

// Begin begins to load, so many at once; those that wait for something take no part
// of that. Each ends when its lua.load_timeout does.
func Begin(list []*Load, running int) *Round {
	r := &Round{len(list), make(chan struct{}), make(chan *Load, len(list))}
	free := newSlots(running)
	go func() {
		defer close(r.begun)
		for _, l := range list {
			if l.isKnown() {
				l.Scripts = l.Have
				r.end(l)
				continue
			}
			s := free.acquire()
			go func() {
				defer s.release()
				l.run(s)
				r.end(l)
			}()
		}
	}()
	return r
}

func (r *Round) end(l *Load) {
	close(l.done)
	r.ended <- l
}

// Await waits for all loads. With patience, it leaves those that are under way when
// all have been begun for so long, as soon as there is somebody to serve: one that
// has loaded well, or others without scripts. So a start waits for many tenants, and
// not for a slow one. It is called once.
func (r *Round) Await(patience time.Duration, others bool) {
	begun := r.begun
	if patience == 0 {
		begun = nil
	}
	var over <-chan time.Time
	served, impatient := others, false
	for left := r.loads; left > 0 && (!served || !impatient); {
		select {
		case l := <-r.ended:
			left--
			served = served || l.Err == nil
		case <-begun:
			begun, over = nil, time.After(patience)
		case <-over:
			impatient = true
		}
	}
}
