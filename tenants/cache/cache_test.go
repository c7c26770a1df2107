package cache_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/cache"
)

// TestCache: what was put is found under its text until it ends, and nothing else is.
func TestCache(t *testing.T) {
	t.Parallel()
	c := cache.New[string](64)
	key := func(text string) []byte { return c.AppendKey(nil, []byte(text)) }
	value := "alice"
	c.Put(key("secret"), &value, 0, 10)
	for _, step := range []struct {
		text string
		now  int64
		want bool
	}{{"secret", 0, true}, {"secret", 9, true}, {"secret", 10, false}, {"secreT", 0, false}, {"", 0, false}, {"secret\x00", 0, false}, {"\x00secret", 0, false}} {
		if got := c.Get(key(step.text), step.now); (got != nil) != step.want || got != nil && *got != value {
			t.Errorf("%q at %d: got %v, want %v", step.text, step.now, got, step.want)
		}
	}
	if other := cache.New[string](64); string(other.AppendKey(nil, []byte("secret"))) == string(key("secret")) {
		t.Error("two caches have the same key for a text")
	}
	again := "bob"
	c.Put(key("secret"), &again, 20, 30)
	if got := c.Get(key("secret"), 25); got == nil || *got != again {
		t.Errorf("got %v after it was put again", got)
	}
}

// TestCacheIsBounded: however much is put, only so much is kept, and what was put last
// is there.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const most, many = 128, 10_000
	c := cache.New[int](most)
	var wait sync.WaitGroup
	for part := range 4 {
		wait.Go(func() {
			for i := part; i < many; i += 4 {
				key := c.AppendKey(nil, fmt.Append(nil, i))
				c.Put(key, &i, 0, cache.Forever)
				if got := c.Get(key, 0); got != nil && *got != i {
					t.Errorf("%d is found as %d", i, *got)
				}
			}
		})
	}
	wait.Wait()
	found := 0
	for i := range many {
		if got := c.Get(c.AppendKey(nil, fmt.Append(nil, i)), 0); got != nil {
			found++
		}
	}
	if found > most || found < most/2 {
		t.Errorf("%d of %d are kept, want about %d", found, many, most)
	}
	last := 7
	key := c.AppendKey(nil, []byte("last"))
	c.Put(key, &last, 0, cache.Forever)
	if got := c.Get(key, 0); got == nil || *got != last {
		t.Errorf("got %v of what was put last", got)
	}
}

// TestCacheAllocates0: looking something up takes no memory.
func TestCacheAllocates0(t *testing.T) {
	c := cache.New[int](64)
	token, scratch, value := make([]byte, 800), make([]byte, 0, 64), 1
	c.Put(c.AppendKey(nil, token), &value, 0, cache.Forever)
	if n := testing.AllocsPerRun(100, func() {
		if c.Get(c.AppendKey(scratch, token), 0) == nil {
			t.Error("it isn't there")
		}
	}); n > 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}

func BenchmarkGet(b *testing.B) {
	c := cache.New[int](1024)
	token, scratch, value := make([]byte, 800), make([]byte, 0, 64), 1
	c.Put(c.AppendKey(nil, token), &value, 0, cache.Forever)
	b.ReportAllocs()
	for b.Loop() {
		if c.Get(c.AppendKey(scratch, token), 0) == nil {
			b.Fatal("it isn't there")
		}
	}
}
