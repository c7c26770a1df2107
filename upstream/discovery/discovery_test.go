package discovery_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/upstream/discovery"
)

var (
	first   = netip.MustParseAddr("10.0.0.1")
	second  = netip.MustParseAddr("2001:db8::1")
	errDown = errors.New("no such host")
)

// names makes Names whose lookups have these answers after each other; the last
// one stays.
func names(t *testing.T, answers ...any) *discovery.Names {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return discovery.NewNames(discovery.Options{
		Context: ctx, Log: zerolog.Nop(),
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			answer := answers[0]
			if len(answers) > 1 {
				answers = answers[1:]
			}
			if err, failed := answer.(error); failed {
				return nil, err
			}
			return answer.([]netip.Addr), nil
		},
		Start:   func(f func()) bool { go f(); return true },
		Recover: func(*error, string) {},
		Pace:    func() time.Duration { return time.Minute },
	})
}

// TestContract holds every source to what Source promises.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		make  func(*testing.T) discovery.Source
		errs  int                          // before there are addresses
		after map[time.Duration]netip.Addr // what is known then
	}{
		{"static", func(*testing.T) discovery.Source { return discovery.Static{first} }, 0,
			map[time.Duration]netip.Addr{0: first, time.Hour: first}},
		{"a name", func(t *testing.T) discovery.Source {
			t.Helper()
			return names(t, []netip.Addr{first}).Acquire("app.example")
		}, 0, map[time.Duration]netip.Addr{0: first, time.Hour: first}},
		{"a name that fails at first, moves, and is empty in the end", func(t *testing.T) discovery.Source {
			t.Helper()
			return names(t, errDown, errDown, []netip.Addr{first}, []netip.Addr{second}, []netip.Addr{}, errDown).Acquire("app.example")
		}, 2, map[time.Duration]netip.Addr{time.Second: {}, 3 * time.Second: first, 70 * time.Second: second, time.Hour: second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := c.make(t)
				defer source.Close()
				var told []error
				source.Subscribe(func(err error) { told = append(told, err) })
				<-source.Tried()
				begin := time.Now()
				moments := make([]time.Duration, 0, len(c.after))
				for moment := range c.after {
					moments = append(moments, moment)
				}
				slices.Sort(moments)
				for _, moment := range moments {
					time.Sleep(moment + time.Millisecond - time.Since(begin)) // of the bubble's clock
					synctest.Wait()
					got := source.Addresses()
					if want := c.after[moment]; want.IsValid() != (len(got) > 0) || want.IsValid() && got[0] != want {
						t.Errorf("after %v: %v, want %v", moment, got, want)
					}
				}
				if len(told) != c.errs+1 || told[c.errs] != nil || slices.Contains(told[:c.errs], nil) {
					t.Errorf("told %d times, want %d errors and then nil, once", len(told), c.errs)
				}
			})
		})
	}
}

// TestNamesAreShared: one goroutine looks up a name, however many use it, until
// the last of them has gone; then the name is forgotten.
func TestNamesAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := names(t, []netip.Addr{first}, []netip.Addr{second})
		one, other := all.Acquire("app.example"), all.Acquire("app.example")
		<-one.Tried()
		<-other.Tried()
		if a, b := one.Addresses(), other.Addresses(); &a[0] != &b[0] {
			t.Error("two users have answers of their own")
		}
		one.Close()
		time.Sleep(time.Minute + time.Second)
		if got := other.Addresses()[0]; got != second {
			t.Errorf("after one of two has gone: %v, want %v", got, second)
		}
		other.Close()
		if late := all.Acquire("app.example"); late.Addresses() != nil {
			t.Error("a name that nobody used is remembered")
		} else {
			late.Close()
		}
	})
}
