package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/upstream/discovery"
)

// TestFailuresAreLoggedOnce: the first failure of a row, and that it has ended;
// not those before there was an answer, which targets log.
func TestFailuresAreLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		good := []netip.Addr{first}
		answers := [][]netip.Addr{nil, nil, good, good, nil, nil, good, good, nil}
		var log bytes.Buffer
		early := 0
		names := discovery.NewNames(discovery.Options{
			Context: ctx, Log: zerolog.New(&log),
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				if len(answers) == 6 { // there is an answer by now, and one is about to fail
					early = log.Len()
				}
				answer := answers[0]
				if answers = answers[1:]; len(answers) == 0 {
					cancel()
				}
				if answer == nil {
					return nil, errDown
				}
				return answer, nil
			},
			Start:   func(f func()) bool { go f(); return true },
			Recover: func(*error, string) {},
			Pace:    func() time.Duration { return time.Minute },
		})
		source := names.Acquire("app.example")
		<-ctx.Done()
		source.Close()
		synctest.Wait()
		var words []string
		for line := range strings.Lines(log.String()) {
			_, message, _ := strings.Cut(line, `"message":"`)
			words = append(words, strings.TrimSuffix(message, "\"}\n"))
			if !strings.Contains(line, "app.example") {
				t.Errorf("the name isn't in the log: %s", line)
			}
		}
		if early > 0 {
			t.Errorf("what comes before the first answer is logged here, not only by targets: %.100s", log.String())
		}
		if want := []string{"requests go on to the last known addresses of a host: its name can't be looked up", "the host's name can be looked up again"}; !slices.Equal(words, want) {
			t.Errorf("got %q, want %q", words, want)
		}
	})
}

// TestAnswers: of an answer, up to 16 addresses are kept, each once, IPv4 ones
// as such.
func TestAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var many, want []netip.Addr
		for i := range 20 {
			ip := netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i))
			many = append(many, netip.AddrFrom16(ip.As16()), ip, netip.Addr{})
			if i < 16 {
				want = append(want, ip)
			}
		}
		source := names(t, many).Acquire("app.example")
		defer source.Close()
		<-source.Tried()
		if got := source.Addresses(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestLookupsAreBounded: 64 at once, each for 5 seconds, and those that end make
// way for others; a panic of one is an error of its name's.
func TestLookupsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var running atomic.Int64
		var mu sync.Mutex
		var most int64 // guarded by mu
		names := discovery.NewNames(discovery.Options{
			Context: ctx, Log: zerolog.Nop(),
			Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
				mu.Lock()
				most = max(most, running.Add(1))
				mu.Unlock()
				defer running.Add(-1)
				if host == "0" {
					panic("a lookup of the test")
				}
				<-ctx.Done() // what doesn't answer
				return nil, ctx.Err()
			},
			Start: func(f func()) bool { go f(); return true },
			Recover: func(err *error, what string) {
				if p := recover(); p != nil {
					*err = fmt.Errorf("%s: %v", what, p)
				}
			},
			Pace: func() time.Duration { return time.Minute },
		})
		var sources []discovery.Source
		var told [100]error // each has its own
		for i := range told {
			source := names.Acquire(fmt.Sprint(i))
			source.Subscribe(func(err error) { told[i] = err })
			sources = append(sources, source)
		}
		begin := time.Now()
		for _, source := range sources {
			<-source.Tried()
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("100 lookups that don't answer took %v, want two rounds of 5 s", took)
		}
		synctest.Wait() // the name that panics is tried, and told of, each second
		if most != 64 {
			t.Errorf("%d lookups ran at once, want 64", most)
		}
		if err := told[0]; err == nil || err.Error() != "name lookup: a lookup of the test" {
			t.Errorf("a panic became %v", err)
		}
		for i := 1; i < 100; i++ {
			if !errors.Is(told[i], context.DeadlineExceeded) {
				t.Errorf("name %d: %v, want that its time was over", i, told[i])
			}
		}
		late := names.Acquire("1")
		sources = append(sources, late)
		var heard error
		if late.Subscribe(func(err error) { heard = err }); !errors.Is(heard, context.DeadlineExceeded) {
			t.Errorf("who subscribes late is told of %v, want the last error", heard)
		}
		for _, source := range sources {
			source.Close()
		}
		synctest.Wait()
		if n := running.Load(); n != 0 {
			t.Errorf("%d lookups run on though nobody uses their names", n)
		}
	})
}

// TestClosedSourceHearsNothing: who has gone isn't told of what others wait for.
func TestClosedSourceHearsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := names(t, errDown, errDown, []netip.Addr{first})
		one, other := all.Acquire("app.example"), all.Acquire("app.example")
		told := map[string][]error{}
		one.Subscribe(func(err error) { told["one"] = append(told["one"], err) })
		other.Subscribe(func(err error) { told["other"] = append(told["other"], err) })
		synctest.Wait()
		one.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(told["one"]) != 1 || len(told["other"]) != 3 || told["other"][2] != nil {
			t.Errorf("told one %v, the other %v", told["one"], told["other"])
		}
		other.Close()
	})
}
