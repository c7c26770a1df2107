package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// TestRefusalsAreToldOf: of each tenant that was refused memory, once in a while, with
// how often since the last line; tenants that are gone are forgotten.
func TestRefusalsAreToldOf(t *testing.T) {
	t.Parallel()
	const pause = int64(10 * time.Second)
	var process memory.Process
	var log bytes.Buffer
	p := &pressure{server: &Server{log: zerolog.New(&log)}, warned: map[*memory.Account]refusals{}}
	for _, name := range []string{"a", "b"} {
		account := new(memory.Account)
		account.Open(&process)
		account.SetLimit(10)
		p.holders = append(p.holders, holder{name: name, account: account, clients: 7})
	}
	refuse := func(i, times int) {
		for range times {
			var charge memory.Charge
			charge.Begin(p.holders[i].account)
			if charge.Acquire(11) {
				t.Fatal("there is memory")
			}
		}
	}
	now := int64(time.Hour)
	for _, step := range []struct {
		after  int64
		a, b   int // refusals before it
		has    []string
		hasNot []string
	}{
		{0, 0, 0, nil, []string{"tenant"}},
		{0, 1, 0, []string{`"tenant":"a","held":7,"max_client_memory":10,"refused":1`}, []string{`"b"`}},
		{pause, 0, 0, nil, []string{"tenant"}},
		{0, 3, 2, []string{`"tenant":"a"`, `"refused":3`, `"tenant":"b"`, `"refused":2`}, nil},
		{pause - 1, 4, 0, nil, []string{"tenant"}},
		{1, 0, 0, []string{`"tenant":"a"`, `"refused":4`}, []string{`"b"`}},
	} {
		refuse(0, step.a)
		refuse(1, step.b)
		now += step.after
		log.Reset()
		p.warn(now)
		for _, part := range step.has {
			if !strings.Contains(log.String(), part) {
				t.Errorf("%+v: %q lacks %s", step, log.String(), part)
			}
		}
		for _, part := range step.hasNot {
			if strings.Contains(log.String(), part) {
				t.Errorf("%+v: %q has %s", step, log.String(), part)
			}
		}
	}
	gone := p.holders[0].account
	p.holders = p.holders[1:]
	log.Reset()
	if p.warn(now); len(p.warned) != 1 || p.warned[gone].count != 0 || log.Len() > 0 {
		t.Errorf("%d tenants are remembered; said is %q", len(p.warned), log.String())
	}
	if p.nameOf(p.holders[0].account) != "b" || p.nameOf(gone) != "" {
		t.Error("tenants have other names")
	}
}

// TestRelievedTenants: what is said of tenants that are being relieved, from the first
// time on, until that ends.
func TestRelievedTenants(t *testing.T) {
	t.Parallel()
	p := &pressure{shed: map[*memory.Account]Shed{}}
	a, b := holder{name: "a", account: new(memory.Account)}, holder{name: "b", account: new(memory.Account)}
	p.begin(&b, false, "first")
	p.begin(&a, true, "other")
	p.begin(&b, true, "second")
	p.begin(&b, false, "third")
	list := p.shedding()
	if len(list) != 2 || list[0].Tenant != "a" || list[1].Tenant != "b" || list[1].Reason != "first" || !list[0].Connections || !list[1].Connections || list[1].Since.IsZero() {
		t.Errorf("got %+v", list)
	}
	if !a.account.Shedding() || !b.account.Shedding() || p.sheds.Load() != 4 {
		t.Errorf("it came to that %d times", p.sheds.Load())
	}
	if p.end(b.account); b.account.Shedding() || !a.account.Shedding() || len(p.shedding()) != 1 {
		t.Error("it doesn't end, or for another one")
	}
	p.begin(&b, false, "again")
	if list = p.shedding(); list[1].Connections || list[1].Reason != "again" {
		t.Errorf("got %+v", list)
	}
}
