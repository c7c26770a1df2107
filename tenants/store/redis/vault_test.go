package redis_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestVault: what one gateway saves is there for others, whatever bytes it has.
func TestVault(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, other := open(t, configOf(server.Address)).Vault("acme"), open(t, configOf(server.Address)).Vault("acme")
	const key = "certificates/ca.example.com/a.example.com.pem"
	if _, err := one.Load(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	for _, value := range [][]byte{{}, []byte("a\r\nb\x00\xff"), bytes.Repeat([]byte("x"), redis.MostValue)} {
		if err := one.Save(key, value); err != nil {
			t.Fatal(err)
		}
		if got, err := other.Load(key); err != nil || !bytes.Equal(got, value) {
			t.Errorf("got %d bytes and %v, want %d", len(got), err, len(value))
		}
	}
	if err := one.Save(key, make([]byte, redis.MostValue+1)); err == nil {
		t.Error("a value that is too large is kept")
	}
	if _, err := open(t, configOf(server.Address)).Vault("another").Load(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another vault: %v", err)
	}
	for range 2 {
		if err := other.Delete(key); err != nil {
			t.Error(err)
		}
	}
	if _, err := one.Load(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted: %v", err)
	}
	server.Do("SADD keystone::acme:set a")
	if _, err := one.Load("set"); !errors.Is(err, redis.ErrForeign) {
		t.Errorf("something else: %v", err)
	}
}

// TestVaultLocks: one has a lock at a time, until it is released, or its holder has been
// silent for long.
func TestVaultLocks(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	one, other := open(t, configOf(server.Addr())).Vault("acme"), open(t, configOf(server.Addr())).Vault("acme")
	release, ok, err := one.Lock("a")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, v := range []*redis.Vault{one, other} {
		if _, ok, err := v.Lock("a"); ok || err != nil {
			t.Errorf("it is taken twice: %v %v", ok, err)
		}
	}
	again, ok, err := other.Lock("b")
	if !ok || err != nil {
		t.Errorf("another lock: %v %v", ok, err)
	}
	again()
	release()
	release()
	release, ok, err = other.Lock("a")
	if !ok || err != nil {
		t.Errorf("released: %v %v", ok, err)
	}
	server.FastForward(31 * time.Second) // as if its holder had died
	last, ok, err := one.Lock("a")
	if !ok || err != nil {
		t.Errorf("of the dead: %v %v", ok, err)
	}
	release() // of another's: it stays
	if _, ok, err := other.Lock("a"); ok || err != nil {
		t.Errorf("it is taken twice: %v %v", ok, err)
	}
	last()
}

// TestVaultIsAway: nobody waits, and it says so.
func TestVaultIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	shared := open(t, configOf(server.Address))
	server.Kill()
	until.True(t, "it is away", func() bool { status, _ := shared.Status(); return !status.Here })
	v := shared.Vault("acme")
	if _, err := v.Load("a"); !errors.Is(err, redis.ErrAway) {
		t.Errorf("got %v", err)
	}
	if err := v.Save("a", nil); !errors.Is(err, redis.ErrAway) {
		t.Errorf("got %v", err)
	}
	if _, ok, err := v.Lock("a"); ok || !errors.Is(err, redis.ErrAway) {
		t.Errorf("got %v %v", ok, err)
	}
	if _, err := (&redis.Shared{}).Vault("acme").Load("a"); !errors.Is(err, redis.ErrNone) {
		t.Errorf("without a store: %v", err)
	}
}
