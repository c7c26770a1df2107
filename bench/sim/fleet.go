package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/ratelimit"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Fleet is gateways with one limit in a store that they have in common, and the requests
// that come to them: each to a gateway by chance, of a client by chance.
type Fleet struct {
	Name     string
	Gateways int
	Offered  float64 // requests a second, of all gateways
	Keys     int     // clients, at most 2^24
	Skewed   bool    // some clients send more than others (Zipf's law), else all the same
	Rate     int64   // of the limit, a second for each client
	Burst    int64   // likewise
	Share    float64 // store.redis.local_share

	RoundTrip time.Duration // to the store
	Timeout   time.Duration // store.redis.timeout
	Duration  time.Duration
	Hangs     [2]time.Duration // the store doesn't answer from, to
	Forgets   bool             // and is empty afterwards, as another master may be
	Step      time.Duration    // of Result.Steps
}

// Result is what has come of it.
type Result struct {
	Moment
	Exact int64    // what one limit would have let pass, asked about all requests
	Steps []Moment // one a step
}

// Moment is what was counted in a time.
type Moment struct {
	Requests, Passed int64
	Asked            int64 // of the store
	Waited           int64 // requests that have waited for all of Timeout
}

// Error is how far what has passed is from what one limit would have let pass, as a share
// of that.
func (r *Result) Error() float64 {
	if r.Exact == 0 {
		return 0
	}
	return float64(r.Passed-r.Exact) / float64(r.Exact)
}

// world is a run.
type world struct {
	*Fleet
	at       time.Duration // since its beginning
	server   map[string]int64
	forgot   bool
	answers  queue
	lates    queue
	moment   Moment // since the beginning
	gateways []*gateway
	random   *rand.Rand
	limit    store.Quota
}

// epoch is when time begins.
var epoch = time.Unix(1_800_000_000, 0)

func (w *world) now() time.Time { return epoch.Add(w.at) }

// Run simulates all of Duration.
func (f *Fleet) Run() (*Result, error) {
	if f.Gateways < 1 || f.Keys < 1 || f.Keys > 1<<24 || f.Offered <= 0 || f.Duration <= 0 {
		return nil, errors.New("expected gateways, 1 to 2^24 clients, requests and a duration")
	}
	w := &world{Fleet: f, server: map[string]int64{}, random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // G404: the same each time
	var err error
	if w.limit, err = store.NewQuota(float64(f.Rate), 1, float64(f.Burst), 1); err != nil {
		return nil, fmt.Errorf("cannot limit to %d/s: %w", f.Rate, err)
	}
	for range f.Gateways {
		g, err := w.open()
		if err != nil {
			return nil, err
		}
		w.gateways = append(w.gateways, g)
	}
	return w.run(), nil
}

func (w *world) open() (*gateway, error) {
	g := &gateway{of: w, ahead: store.NewAhead(w.now)}
	c := &ratelimit.Config{Rate: ratelimit.Rate{Count: w.Rate, Per: time.Second}, Burst: w.Burst}
	c.SetDefaults()
	c.DryRun, c.Headers = true, false // it decides all the same, and words no refusals
	var err error
	g.policy, err = c.New(policy.Deps{Tenant: tenant, Place: "policies[0]", Shared: g, WillShare: true, Now: w.now})
	return g, err //nolint:wrapcheck // it says all
}

// run sends all requests, at even intervals.
func (w *world) run() *Result {
	r := &Result{}
	exact := make([]int64, w.Keys)
	pick := w.picker()
	interval := float64(time.Second) / w.Offered
	var last Moment
	step := w.Step
	for i := range int64(w.Offered * w.Duration.Seconds()) {
		w.at = time.Duration(float64(i) * interval)
		if w.Step > 0 && w.at >= step {
			r.Steps = append(r.Steps, w.moment.since(last))
			last, step = w.moment, step+w.Step
		}
		w.settle()
		key := pick()
		w.moment.Requests++
		if w.gateways[w.random.IntN(len(w.gateways))].passes(key) {
			w.moment.Passed++
		}
		var v store.Verdict
		if exact[key], v, _ = w.limit.Advance(exact[key], w.now().UnixNano(), 0); v.Allowed {
			r.Exact++
		}
	}
	if w.Step > 0 {
		r.Steps = append(r.Steps, w.moment.since(last))
	}
	r.Moment = w.moment
	return r
}

func (m Moment) since(before Moment) Moment {
	return Moment{m.Requests - before.Requests, m.Passed - before.Passed, m.Asked - before.Asked, m.Waited - before.Waited}
}

// picker chooses clients.
func (w *world) picker() func() int {
	if !w.Skewed {
		return func() int { return w.random.IntN(w.Keys) }
	}
	zipf := rand.NewZipf(w.random, 1.1, 1, uint64(w.Keys-1)) //nolint:gosec // G115: at least 1
	return func() int { return int(zipf.Uint64()) }          //nolint:gosec // G115: below Keys
}

// passes asks a gateway's policy about a request of a client.
func (g *gateway) passes(key int) bool {
	r := &g.request
	r.Reset()
	g.memo = policy.Memo{}
	r.Memo, r.Waiter, r.Header = &g.memo, waiter{}, &g.header
	r.Client = netip.AddrFrom4([4]byte{10, byte(key >> 16), byte(key >> 8), byte(key)}) //nolint:gosec // G115: Keys is bounded
	answer, err := g.policy.Judge(r)
	return answer == nil && err == nil && !r.WouldAnswer
}

// gateway is one.
type gateway struct {
	of      *world
	policy  policy.Policy
	ahead   *store.Ahead
	request policy.Request
	memo    policy.Memo
	header  message.Header

	failures int           // in a row
	away     bool          // the store
	again    time.Duration // when it is tried to connect to it
	pause    time.Duration // before that
}
