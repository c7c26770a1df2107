package sim

import (
	"context"
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

const tenant = "fleet"

var (
	errLate = errors.New("the store has not answered in time")
	errAway = errors.New("the store is away")
)

var _ store.Shared = (*gateway)(nil)

// Configured is store.Shared's.
func (*gateway) Configured() bool { return true }

// Try decides by what the gateway knows, as the client of Redis does.
func (g *gateway) Try(limit string, key []byte, q store.Quota) (store.Verdict, bool) {
	return g.ahead.Try(g.ahead.Identify(tenant, limit, key, q))
}

// Take asks the server. What it answers comes after a round trip.
func (g *gateway) Take(_ context.Context, limit string, key []byte, q store.Quota) (v store.Verdict, err error) {
	w := g.of
	if g.away && !g.connects() {
		return v, errAway
	}
	w.moment.Asked++
	asked := g.ahead.Begin(g.ahead.Identify(tenant, limit, key, q), q, w.Share)
	if w.hangs() {
		w.moment.Waited++
		w.lates.push(reply{at: w.at + w.Timeout, of: g, asked: asked, failed: true})
		return v, errLate
	}
	var more int64
	arrival, now := w.server[string(key)], w.now().Add(w.RoundTrip/2).UnixNano()
	arrival, v, more = q.Advance(arrival, now, asked.Share)
	w.server[string(key)] = arrival
	w.answers.push(reply{at: w.at + w.RoundTrip, of: g, asked: asked, verdict: v, more: more})
	return v, nil
}

// Enter isn't asked for here.
func (*gateway) Enter(context.Context, string, []byte, int) (store.Place, error) {
	return nil, errAway
}

func (w *world) hangs() bool { return w.at >= w.Hangs[0] && w.at < w.Hangs[1] }

// connects tries to connect again, as often as the client does.
func (g *gateway) connects() bool {
	w := g.of
	if w.at < g.again {
		return false
	}
	if !w.hangs() {
		g.away, g.failures = false, 0
		return true
	}
	g.again = w.at + w.Timeout + g.pause*5/4
	g.pause = min(2*g.pause, redis.MostPause)
	return false
}

// reply is what comes of a question, at its time.
type reply struct {
	at      time.Duration
	of      *gateway
	asked   store.Asked
	verdict store.Verdict
	more    int64
	failed  bool
}

// queue is replies in the order in which they come.
type queue struct {
	list  []reply
	first int
}

func (q *queue) push(r reply) {
	if q.first > 1<<12 && 2*q.first > len(q.list) {
		q.list = append(q.list[:0], q.list[q.first:]...)
		q.first = 0
	}
	q.list = append(q.list, r)
}

// next is the first one that has come, or nil.
func (q *queue) next(at time.Duration) *reply {
	if q.first == len(q.list) || q.list[q.first].at > at {
		return nil
	}
	q.first++
	return &q.list[q.first-1]
}

// settle has what has come taken note of. A server that hung and forgets is empty once it
// is back.
func (w *world) settle() {
	if w.Forgets && !w.forgot && w.at >= w.Hangs[1] {
		w.server, w.forgot = map[string]int64{}, true
	}
	for r := w.answers.next(w.at); r != nil; r = w.answers.next(w.at) {
		r.of.failures = 0
		r.of.ahead.End(r.asked, r.verdict, r.more)
	}
	for r := w.lates.next(w.at); r != nil; r = w.lates.next(w.at) {
		g := r.of
		g.ahead.End(r.asked, store.Verdict{}, 0)
		if g.failures++; g.failures >= redis.MostFailures && !g.away {
			g.away, g.pause = true, redis.LeastPause
			g.again = w.at + g.pause*5/4
		}
	}
}

// waiter is a client that stays.
type waiter struct{}

func (waiter) Wait(f func(ctx context.Context) error) error { return f(context.Background()) }

func (waiter) ReadBody(int64) ([]byte, error) { return nil, nil }
