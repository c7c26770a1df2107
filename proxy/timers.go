package proxy

import (
	"context"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// timers runs what tenants' scripts have declared to run by itself (keystone.timer): a
// goroutine for each tenant that has any, and as many for its timers, from when its
// scripts are in use until others take their place, the tenant goes, or the process
// serves no more. The zero value is ready.
type timers struct {
	mu      sync.Mutex
	ctx     context.Context         //nolint:containedctx // Run's; nil before it and after it. Guarded by mu, as are those below
	wanted  map[string]*lua.Scripts // by tenant: those in use
	running map[string]*running
	wait    sync.WaitGroup
}

// running are the timers of one tenant.
type running struct {
	scripts *lua.Scripts
	stop    context.CancelFunc
	done    chan struct{} // closed when all of them have ended
}

// use says which scripts are in use from now on.
func (t *timers) use(scripts map[string]*lua.Scripts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = scripts
	t.follow()
}

// begin runs the timers of those in use, until end.
func (t *timers) begin(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx = ctx
	t.follow()
}

// end stops all timers: another process has taken over, or nobody is served any more.
// It doesn't wait for them.
func (t *timers) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx, t.wanted = nil, nil
	for _, r := range t.running {
		r.stop()
	}
}

// await returns when all timers have ended.
func (t *timers) await() { t.wait.Wait() }

// follow starts and stops what is to be. The lock is held.
func (t *timers) follow() {
	if t.ctx == nil {
		return
	}
	for tenant, r := range t.running {
		if t.wanted[tenant] != r.scripts {
			r.stop()
		}
	}
	for tenant, scripts := range t.wanted {
		before := t.running[tenant]
		if !scripts.HasTimers() || before != nil && before.scripts == scripts {
			continue
		}
		ctx, stop := context.WithCancel(t.ctx)
		r := &running{scripts: scripts, stop: stop, done: make(chan struct{})}
		if t.running == nil {
			t.running = map[string]*running{}
		}
		t.running[tenant] = r
		t.wait.Go(func() {
			if before != nil { // of a tenant only those of one generation run at a time
				<-before.done
			}
			scripts.RunTimers(ctx)
			stop()
			t.ended(tenant, r)
		})
	}
}

func (t *timers) ended(tenant string, r *running) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(r.done)
	if t.running[tenant] == r && t.wanted[tenant] != r.scripts {
		delete(t.running, tenant)
	}
}
