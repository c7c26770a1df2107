package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

const (
	// placeLife is how long a place is kept for a gateway that says nothing any more, and
	// placeRenewal how often one says that it has it still.
	placeLife    = 15 * time.Second
	placeRenewal = 5 * time.Second
	placePause   = 100 * time.Millisecond // before what has failed is tried again
	placeBatch   = 256                    // of commands that are sent together
)

var placeLifeText = strconv.FormatInt(placeLife.Milliseconds(), 10)

// enterScript takes a place of a key, a sorted set of places by when they end, unless
// others have as many as there may be.
var enterScript = newScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`)

// renewScript keeps places of a key, also those that the server has lost.
var renewScript = newScript(`
local time = redis.call('TIME')
local ends = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[1]))
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`)

// places are what a gateway has in flight of what it counts together with others.
type places struct {
	name string // of the gateway, as long as the client lives
	last atomic.Uint64
	wake chan struct{}

	mu    sync.Mutex
	held  order // in the order in which the server was told of them
	ended order
}

// place is one of them.
type place struct {
	of            *client
	key, member   string
	told          func()
	since         time.Time // when the server was told of it, or it was left
	left          bool
	ahead, behind *place
}

// order is places that one follows the other; a place is in one of them.
type order struct{ first, last *place }

func (o *order) push(p *place) {
	p.ahead, p.behind = o.last, nil
	if o.last == nil {
		o.first = p
	} else {
		o.last.behind = p
	}
	o.last = p
}

func (o *order) remove(p *place) {
	if p.ahead == nil {
		o.first = p.behind
	} else {
		p.ahead.behind = p.behind
	}
	if p.behind == nil {
		o.last = p.ahead
	} else {
		p.behind.ahead = p.ahead
	}
}

func (a *places) init() {
	name := make([]byte, 9)
	_, _ = rand.Read(name)
	a.name, a.wake = base64.RawURLEncoding.EncodeToString(name), make(chan struct{}, 1)
}

// Enter takes one of most places of a key.
func (t *Tenant) Enter(ctx context.Context, limit string, key []byte, most int) (store.Place, error) {
	c := t.of.current.Load()
	if c == nil {
		return nil, ErrNone
	}
	p := &place{of: c, key: t.key(c, "c") + limit + ":" + hashOf(key), since: time.Now()}
	p.member = c.places.name + ":" + strconv.FormatUint(c.places.last.Add(1), 36)
	entered := int64(0)
	err := c.call(ctx, func(ctx context.Context, r rueidis.Client) (err error) {
		entered, err = enterScript.run(ctx, r, []string{p.key}, strconv.Itoa(most), p.member, placeLifeText).AsInt64()
		if err == nil && entered != 0 && entered != 1 {
			err = fmt.Errorf("%w of the script: %d", errReply, entered)
		}
		return rights(err)
	})
	switch {
	case err != nil:
		if !errors.Is(err, ErrAway) && !ofKey(err) { // the server may have done it all the same
			c.places.end(p)
		}
		return nil, err
	case entered == 0:
		return nil, nil
	}
	c.places.mu.Lock()
	defer c.places.mu.Unlock()
	c.places.held.push(p)
	return p, nil
}

// Leave is store.Place's.
func (p *place) Leave(told func()) {
	all := &p.of.places
	all.mu.Lock()
	p.told, p.left = told, true
	all.held.remove(p)
	all.mu.Unlock()
	all.end(p)
}

// end has the server told that a place is free, unless that lasts longer than it would be
// kept for anyway.
func (a *places) end(p *place) {
	a.mu.Lock()
	p.since = time.Now()
	a.ended.push(p)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// tend tells the server of places that have ended, and of those that go on, one thing
// after the other, so that no place is renewed that was left. One that was away may have
// lost all of them, and is told of each. It ends with the client.
func (c *client) tend() {
	ticker := time.NewTicker(placeRenewal / 10)
	defer ticker.Stop()
	var last *link
	for c.context.Err() == nil {
		select {
		case <-c.places.wake:
		case <-ticker.C:
			if l := c.link.Load(); l != nil {
				c.renew(l != last)
				last = l
			}
		case <-c.context.Done():
		}
		for c.free() && c.context.Err() == nil {
			select {
			case <-time.After(placePause):
			case <-c.context.Done():
			}
		}
	}
}

// rights is an error of a user who lacks them for places, and may have others: the server
// isn't away for that.
func rights(err error) error {
	if isDenied(err) {
		return errDenied
	}
	return err
}

// free tells of places that have ended; again says that it has failed, and that it is to
// be tried once more.
func (c *client) free() (again bool) {
	for {
		batch := c.places.takeEnded()
		if len(batch) == 0 {
			return false
		}
		err := c.call(context.Background(), func(ctx context.Context, r rueidis.Client) error {
			commands := make([]rueidis.Completed, 0, len(batch))
			for _, p := range batch {
				commands = append(commands, r.B().Zrem().Key(p.key).Member(p.member).Build())
			}
			return rights(firstOf(r.DoMulti(ctx, commands...)))
		})
		if err != nil && !ofKey(err) {
			c.places.putBack(batch)
			return true
		}
		for _, p := range batch {
			if p.told != nil {
				p.told()
			}
		}
	}
}

// firstOf is the first error of some results that says anything of the server, or else of a key.
func firstOf(results []rueidis.RedisResult) (err error) {
	for _, result := range results {
		if failed := known(result).Error(); failed != nil && (err == nil || ofKey(err)) {
			err = failed
		}
	}
	return err
}

func (a *places) takeEnded() (batch []*place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := a.ended.first; p != nil && len(batch) < placeBatch; p = a.ended.first {
		a.ended.remove(p)
		batch = append(batch, p)
	}
	return batch
}

// putBack keeps what the server couldn't be told, but for places that it forgets by itself.
func (a *places) putBack(batch []*place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range batch {
		if time.Since(p.since) < placeLife {
			a.ended.push(p)
		} else if p.told != nil {
			p.told()
		}
	}
}

// renew tells the server of the places that go on, of all or of those that it was told of
// long ago.
func (c *client) renew(all bool) {
	if all {
		c.places.age()
	}
	for batch := c.places.due(time.Now()); len(batch) > 0; batch = c.places.due(time.Now()) {
		keys, members := []string{}, map[string][]string{}
		for _, p := range batch {
			if members[p.key] == nil {
				keys = append(keys, p.key)
			}
			members[p.key] = append(members[p.key], p.member)
		}
		for _, key := range keys {
			err := c.call(c.context, func(ctx context.Context, r rueidis.Client) error {
				return rights(renewScript.run(ctx, r, []string{key}, append([]string{placeLifeText}, members[key]...)...).Error())
			})
			if err != nil && !ofKey(err) {
				return // the next time
			}
		}
		c.places.renewed(batch, time.Now())
	}
}

// age has all places be due.
func (a *places) age() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := a.held.first; p != nil; p = p.behind {
		p.since = time.Time{}
	}
}

// due returns places that have to be renewed, those first that have waited for longest.
func (a *places) due(now time.Time) (batch []*place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := a.held.first; p != nil && len(batch) < placeBatch && now.Sub(p.since) >= placeRenewal; p = p.behind {
		batch = append(batch, p)
	}
	return batch
}

// renewed puts places last, but for those that have ended meanwhile.
func (a *places) renewed(batch []*place, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range batch {
		if p.left {
			continue
		}
		p.since = now
		a.held.remove(p)
		a.held.push(p)
	}
}
