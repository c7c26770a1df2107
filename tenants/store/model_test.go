package store_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// FuzzModel plays operations on a store and on the simplest thing that could
// be one: as long as nothing is evicted they agree; after that the store may
// only know less. It never holds more than its budget.
func FuzzModel(f *testing.F) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		data := make([]byte, 900)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		data[0] = byte(seed) // small budgets and large ones
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 4096 {
			return
		}
		g := newGame(t, data[0])
		for data = data[1:]; len(data) >= 3; data = data[3:] {
			g.play(data[0], data[1], data[2])
		}
		g.end()
	})
}

type modelled struct {
	value any
	end   time.Time // zero is none
}

// game is a store beside its model.
type game struct {
	t      *testing.T
	clock  *clock
	store  *store.Memory
	budget int64
	model  map[string]modelled
}

func newGame(t *testing.T, size byte) *game {
	c := new(clock)
	budget := int64(size)%8*16*300 + 1000
	return &game{t: t, clock: c, store: store.NewMemory(budget, c.now), budget: budget, model: map[string]modelled{}}
}

func (g *game) play(op, which, argument byte) {
	g.t.Helper()
	ctx := g.t.Context()
	key := strings.Repeat("k", int(which%48))
	g.look(key)
	_, present := g.model[key]
	ttl := time.Duration(argument%4) * time.Second
	var value any = float64(argument)
	if argument%3 == 0 {
		value = strings.Repeat("v", int(argument)*2)
	}
	switch op % 8 {
	case 0, 1:
		g.wrote(key, value, ttl, g.store.Set(ctx, key, value, ttl))
	case 2:
		added, err := g.store.Add(ctx, key, value, ttl)
		if added == present && err == nil {
			g.t.Fatalf("Add = %v, but the key is there: %v", added, present)
		}
		if added || err != nil {
			g.wrote(key, value, ttl, err)
		}
	case 3:
		g.increment(key, float64(argument), ttl)
	case 4:
		deleted, err := g.store.Delete(ctx, key)
		if err != nil || deleted != present {
			g.t.Fatalf("Delete = %v, %v, but the key is there: %v", deleted, err, present)
		}
		delete(g.model, key)
	case 5:
		g.take(key, float64(argument%5))
	case 6:
		g.clock.advance(time.Duration(argument) * 10 * time.Millisecond)
	case 7:
		g.budget = int64(argument)*150 + 1000
		g.store.SetBudget(g.budget)
	}
	if bytes := g.store.Bytes(); bytes > g.budget {
		g.t.Fatalf("%d bytes, the budget is %d", bytes, g.budget)
	}
}

func (g *game) increment(key string, by float64, ttl time.Duration) {
	g.t.Helper()
	old, present := g.model[key]
	number, isNumber := old.value.(float64)
	value, err := g.store.Incr(g.t.Context(), key, by, 5, ttl)
	switch {
	case !present:
		g.wrote(key, by+5, ttl, err)
	case !isNumber:
		if !errors.Is(err, store.ErrNotNumber) {
			g.t.Fatalf("Incr of %v: %v", old.value, err)
		}
	case err != nil || value != number+by:
		g.t.Fatalf("Incr = %v, %v, want %v", value, err, number+by)
	default:
		g.model[key] = modelled{value, old.end}
	}
}

// limited is what the model has for a limit, which ends when its bucket is full.
type limited struct{}

// take asks a limit of 4 tokens, one a second.
func (g *game) take(key string, cost float64) {
	g.t.Helper()
	old, present := g.model[key]
	v, err := g.store.Take(g.t.Context(), key, quota(g.t, 3600, 4, cost))
	if _, ok := old.value.(limited); present && !ok {
		if !errors.Is(err, store.ErrNotLimit) {
			g.t.Fatalf("Take of %v: %v", old.value, err)
		}
		return
	}
	now := g.clock.now()
	used := max(0, old.end.Sub(now)).Seconds()
	if !present {
		used = 0
	}
	allowed := used+cost <= 4
	if cost > 0 && size(key, limited{}) > g.budget/16 {
		g.wrote(key, limited{}, 0, err)
		return
	}
	if allowed {
		used += cost
	}
	if ttl := time.Duration(math.Round(used * 1e9)); err != nil || v.Allowed != allowed || v.Reset != ttl {
		g.t.Fatalf("Take of %v = %+v, %v, want %v, %v", cost, v, err, allowed, ttl)
	} else if cost > 0 {
		g.wrote(key, limited{}, ttl, err)
	}
}

// wrote takes a write into the model, unless it was refused with reason.
func (g *game) wrote(key string, value any, ttl time.Duration, err error) {
	g.t.Helper()
	if tooLarge := size(key, value) > g.budget/16; tooLarge != errors.Is(err, store.ErrTooLarge) || !tooLarge && err != nil {
		g.t.Fatalf("%d bytes of %d: %v", size(key, value), g.budget, err)
	}
	if err != nil {
		return
	}
	entry := modelled{value: value}
	if ttl > 0 {
		entry.end = g.clock.now().Add(ttl)
	}
	g.model[key] = entry
}

// look compares what store and model hold for a key.
func (g *game) look(key string) {
	g.t.Helper()
	entry, want := g.model[key]
	if want && !entry.end.IsZero() && !g.clock.now().Before(entry.end) {
		delete(g.model, key)
		entry, want = modelled{}, false
	}
	value, got, err := g.store.Get(g.t.Context(), key)
	if errors.Is(err, store.ErrLimit) {
		value, got, err = limited{}, true, nil
	}
	if want && !got && g.store.Displaced() > 0 {
		delete(g.model, key)
		return
	}
	if err != nil || got != want || value != entry.value {
		g.t.Fatalf("Get(%q) = %v, %v, %v, want %v, %v", key, value, got, err, entry.value, want)
	}
	ttl, _, _ := g.store.TTL(g.t.Context(), key)
	if wantTTL := entry.end.Sub(g.clock.now()); !entry.end.IsZero() && ttl != wantTTL || entry.end.IsZero() && ttl != 0 {
		g.t.Fatalf("TTL(%q) = %v, want the end at %v", key, ttl, entry.end)
	}
}

// end counts to the byte, and finds nothing left after deleting everything.
func (g *game) end() {
	g.t.Helper()
	keys := make([]string, 48)
	for i := range keys {
		keys[i] = strings.Repeat("k", i)
		g.look(keys[i]) // expired entries are dropped when they are asked for
	}
	var bytes int64
	for key, entry := range g.model {
		bytes += size(key, entry.value)
	}
	if g.store.Len() != len(g.model) || g.store.Bytes() != bytes {
		g.t.Fatalf("%d entries of %d bytes, want %d of %d", g.store.Len(), g.store.Bytes(), len(g.model), bytes)
	}
	for _, key := range keys {
		_, err := g.store.Delete(g.t.Context(), key)
		must(g.t, err)
	}
	if g.store.Len() != 0 || g.store.Bytes() != 0 {
		g.t.Fatalf("%d entries of %d bytes after deleting all", g.store.Len(), g.store.Bytes())
	}
}

func size(key string, value any) int64 {
	text, _ := value.(string)
	return store.Overhead + int64(len(key)) + int64(len(text))
}

func BenchmarkMemory(b *testing.B) {
	ctx := b.Context()
	m := store.NewMemory(roomy, time.Now)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	var number any = 1.5
	q := quota(b, 1000, 1000, 1)
	for name, f := range map[string]func(key string){
		"get":  func(key string) { _, _, _ = m.Get(ctx, key) },
		"set":  func(key string) { _ = m.Set(ctx, key, number, time.Second) },
		"take": func(string) { _, _ = m.Take(ctx, "limit", q) },
		"incr": func(key string) { _, _ = m.Incr(ctx, key, 1, 0, 0) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(1000); pb.Next(); i++ {
					f(keys[i%len(keys)])
				}
			})
		})
	}
}
