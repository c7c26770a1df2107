package admin

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

// sharedStore is how the store is that gateways share. All keys are always present.
type sharedStore struct {
	Address string     `json:"address"`
	State   string     `json:"state"` // "here" or "away"
	Since   time.Time  `json:"since"`
	Error   string     `json:"error"` // why it is away
	Calls   storeCalls `json:"calls"`
}

// storeCalls are how many have ended how.
type storeCalls struct {
	Answered uint64 `json:"answered"`
	Unusable uint64 `json:"unusable"` // answered, and the key held something else
	Late     uint64 `json:"late"`
	Failed   uint64 `json:"failed"`
	Spared   uint64 `json:"spared"` // not made, since the store was away
	Local    uint64 `json:"local"`  // not made, since enough had been taken before
}

func (a *API) sharedStore() *sharedStore {
	status, ok := a.server.SharedStore()
	if !ok {
		return nil
	}
	n := status.Counts
	view := &sharedStore{
		Address: status.Address, State: "away", Since: status.Since.UTC(), Calls: storeCalls{n.Answered, n.Unusable, n.Late, n.Failed, n.Spared, n.Local},
	}
	if status.Here {
		view.State = "here"
	} else if status.Err != nil {
		view.Error = cause.Text(status.Err)
	}
	return view
}

// store are figures of that store, if there is one.
func (m *scrape) store(status redis.Status, ok bool) {
	if !ok {
		return
	}
	here := int64(0)
	if status.Here {
		here = 1
	}
	m.family("keystone_store_up", gauge, "Whether the store that gateways share answers in time; if not, limits hold by their on_store_error.")
	m.int(here)
	m.family("keystone_store_calls_total", counter, "Decisions that the store was to make, by what came of it: answered; unusable where the key held something else; late or failed; spared since the store was away; local where the gateway had taken enough beforehand.")
	n := status.Counts
	for _, one := range []struct {
		outcome string
		count   uint64
	}{{"answered", n.Answered}, {"unusable", n.Unusable}, {"late", n.Late}, {"failed", n.Failed}, {"spared", n.Spared}, {"local", n.Local}} {
		m.uint(one.count, label("outcome", one.outcome))
	}
}
