package acme_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/authority"
)

// TestTwoGateways has two of them order once, one answer what the other is asked to
// prove, and a third one begin with what they have.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	twoGateways(t, dir, nil)
	demandPrivate(t, dir)
}

// TestTwoGatewaysWithAStore is the same where they share a server of Redis, and no
// directory.
func TestTwoGatewaysWithAStore(t *testing.T) {
	t.Parallel()
	server, dir := redistest.Start(t), t.TempDir()
	twoGateways(t, dir, func() acme.Storage {
		config, shared := &redis.Config{}, &redis.Shared{}
		config.SetDefaults()
		config.Address, config.Timeout = []string{server.Address}, 5*settings.Duration(time.Second)
		shared.Use(config, time.Minute)
		t.Cleanup(shared.Close)
		return shared.Vault("acme")
	})
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("the directory has %v %v", left, err)
	}
	if !server.Holds("KEYS *", "keystone::acme:accounts/") || server.Holds("KEYS *", ".lock") {
		t.Error("the store has no account, or a lock")
	}
}

// twoGateways, and a third one; shared makes the storage of each, nil is the directory.
func twoGateways(t *testing.T, dir string, shared func() acme.Storage) {
	t.Helper()
	at := reserve(t)
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port})
	fresh := func() *gateway {
		g := start(t, dir)
		if shared != nil {
			g.shared = shared()
		}
		return g
	}
	in := func(challenges ...string) *acme.Config {
		return section(ca, func(c *acme.Config) { c.Challenges, c.Shared = challenges, shared != nil })
	}
	one, other := fresh(), fresh()
	one.listen(t, at) // the authority comes to this one only
	var domains []string
	for i := range 4 {
		domains = append(domains, fmt.Sprintf("%d.example.com", i))
	}
	one.use(t, in()) // it orders nothing yet, and has no such name
	other.use(t, in(acme.HTTP01), auto("a", domains...))
	one.use(t, in(acme.HTTP01), auto("a", domains...))
	for _, g := range []*gateway{one, other} {
		for _, name := range domains {
			eventually(t, name+" is there", func() bool {
				if is := g.status(name); is.State == acme.Waiting { // for the other one, as long as it takes
					g.later(is.Next)
				}
				return g.status(name).State == acme.Valid
			})
			g.serves(t, ca, name)
		}
	}
	if orders := ca.Orders(); orders != len(domains) {
		t.Errorf("%d orders by two gateways, want %d", orders, len(domains))
	}
	one.end()
	other.end()
	ca.SetDown(true)
	third := fresh()
	third.use(t, in(), auto("a", domains...))
	for _, name := range domains {
		third.serves(t, ca, name) // at once
	}
}

// TestLocks takes a lock over whose holder has died, and no other one.
func TestLocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storage := func(beat, dead time.Duration) *acme.Directory {
		d := acme.NewDirectory(dir)
		d.Quicken(beat, dead)
		return d
	}
	holder, waiter := storage(time.Millisecond, time.Hour), storage(time.Hour, 20*time.Millisecond)
	release, ok, err := holder.Lock("locks/a")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	path := filepath.Join(dir, "locks", "a.lock")
	for began := time.Now(); time.Since(began) < 10*time.Millisecond; {
		if _, ok, err := storage(time.Hour, time.Hour).Lock("locks/a"); ok || err != nil {
			t.Fatalf("a lock is taken twice: %v", err)
		}
	}
	release()
	release()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a lock that was released is there: %v", err)
	}
	if err := os.WriteFile(path, []byte("of a process that has died"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock of the dead is taken", func() bool {
		release, ok, err = waiter.Lock("locks/a")
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
	if _, ok, _ := waiter.Lock("locks/a"); ok {
		t.Error("a lock that was taken over is taken twice")
	}
	release()
}
