package redis

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// takeScript is Quota.Advance at the server, by its clock: the generic cell rate
// algorithm. Numbers of Lua are exact up to 2^53, so times are differences from now,
// and what is kept is seconds and nanoseconds apart. Of another's key nothing is changed,
// unless it is the gateway's own, without which it could not look whether the server is there.
const takeScript = `
local now = redis.call('TIME')
local s, ns = tonumber(now[1]), tonumber(now[2]) * 1000
local burst, cost, skew, share = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most = share * math.min(burst, 1e9)
local ahead = 0
local kept = redis.pcall('GET', KEYS[1])
if type(kept) == 'table' then
  if not string.find(kept.err, 'WRONGTYPE', 1, true) then return kept end
  kept = 'of another type'
end
if kept then
  local ks, kns = string.match(kept, '^l(%d+):(%d+)$')
  if ks then
    ahead = math.max(0, (tonumber(ks) - s) * 1e9 + (tonumber(kns) - ns))
    if ahead > burst + skew then ahead = burst end
  elseif ARGV[5] ~= 'own' then
    return {-1, 0, 0, 0}
  end
end
local wait = ahead + cost - burst
if wait > 0 then return {0, ahead, wait, 0} end
if cost == 0 then return {1, ahead, 0, 0} end
local left = burst - ahead - cost
local more = math.floor(math.max(share * left, math.min(left, most)) / cost)
ahead = ahead + cost * (1 + more)
local full = ns + ahead
redis.call('SET', KEYS[1], string.format('l%.0f:%.0f', s + math.floor(full / 1e9), full % 1e9), 'PX', string.format('%.0f', math.ceil(ahead / 1e6) + 1))
return {1, ahead, 0, more}
`

var (
	take       = newScript(takeScript)
	probeQuota = func() store.Quota {
		q, err := store.NewQuota(1000, 1, 1_000_000, 1)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return q
	}()
)

// taken is what the script has answered.
type taken struct {
	store.Verdict
	more int64 // uses that were taken besides, for the next requests
}

// take runs the script on a key; more says what else it is to know.
func (c *client) take(ctx context.Context, r rueidis.Client, key string, q store.Quota, share float64, more ...string) (t taken, err error) {
	burst, cost, skew := q.Bucket()
	if burst == 0 {
		return t, store.ErrQuota
	}
	args := append([]string{strconv.FormatInt(burst, 10), strconv.FormatInt(cost, 10), strconv.FormatInt(skew, 10), strconv.FormatFloat(share, 'g', -1, 64)}, more...)
	numbers, err := take.run(ctx, r, []string{key}, args...).AsIntSlice()
	if err != nil {
		return t, err //nolint:wrapcheck // outcome looks at it
	}
	if len(numbers) != 4 {
		return t, fmt.Errorf("%w of the script", errReply)
	}
	allowed, ahead, wait, leased := numbers[0], numbers[1], numbers[2], numbers[3]
	switch {
	case allowed == -1:
		return t, store.ErrNotLimit
	case allowed != 0 && allowed != 1, ahead < 0 || ahead > burst+skew, wait < 0 || wait > burst+skew, leased < 0 || leased > int64(math.Ceil(share*float64(burst)/float64(max(1, cost)))):
		return t, fmt.Errorf("%w of the script: %v", errReply, numbers)
	}
	return taken{q.Verdict(allowed == 1, time.Duration(ahead), time.Duration(wait)), leased}, nil
}

// Tenant is what one tenant has of a Shared, under keys of its own.
type Tenant struct {
	of   *Shared
	name string
}

var _ store.Shared = (*Tenant)(nil)

// Tenant returns what the tenant of a name has. Names have no colon.
func (s *Shared) Tenant(name string) *Tenant { return &Tenant{s, name} }

// Configured says whether there is a store now; one that is away is there.
func (t *Tenant) Configured() bool { return t.of.current.Load() != nil }

// Try decides by what is known from before.
func (t *Tenant) Try(limit string, key []byte, q store.Quota) (store.Verdict, bool) {
	c := t.of.current.Load()
	if c == nil || c.config.LocalShare == 0 {
		return store.Verdict{}, false
	}
	v, ok := c.ahead.Try(c.ahead.Identify(t.name, limit, key, q))
	if ok {
		c.counts.local.Add(1)
	}
	return v, ok
}

// Take asks the server.
func (t *Tenant) Take(ctx context.Context, limit string, key []byte, q store.Quota) (store.Verdict, error) {
	c := t.of.current.Load()
	if c == nil {
		return store.Verdict{}, ErrNone
	}
	asked := c.ahead.Begin(c.ahead.Identify(t.name, limit, key, q), q, c.config.LocalShare)
	at := t.key(c, "l") + limit + ":" + hashOf(key)
	var got taken
	err := c.call(ctx, func(ctx context.Context, r rueidis.Client) (err error) {
		got, err = c.take(ctx, r, at, q, asked.Share)
		return err
	})
	c.ahead.End(asked, got.Verdict, got.more)
	return got.Verdict, err
}

// key is what the tenant's keys of a kind begin with. Neither prefixes nor names have a
// colon, so no tenant's begin as another's do.
func (t *Tenant) key(c *client, kind string) string {
	return c.config.Prefix + ":" + t.name + ":" + kind + ":"
}
