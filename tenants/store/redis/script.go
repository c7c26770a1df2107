package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // G505: by which servers name scripts
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// script runs at the server, on keys that are in one place of it.
type script struct{ text, sum string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // G401: as above
	return &script{text, hex.EncodeToString(sum[:])}
}

// run runs the script on keys. A server that doesn't have it is sent it, in what is left
// of the time; where that isn't enough, it has it for the next call.
func (s *script) run(ctx context.Context, r rueidis.Client, keys []string, args ...string) rueidis.RedisResult {
	result := r.Do(ctx, r.B().Evalsha().Sha1(s.sum).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
	if refused, ok := rueidis.IsRedisErr(result.Error()); !ok || !refused.IsNoScript() {
		return known(result)
	}
	result = r.Do(ctx, r.B().Eval().Script(s.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
	if err := result.NonRedisError(); err != nil && ctx.Err() != nil {
		return rueidis.NewErrorResult(errors.Join(errForgotten, err))
	}
	return known(result)
}

// known is a result that says of a key of another type what is said of other keys that
// aren't as expected.
func known(result rueidis.RedisResult) rueidis.RedisResult {
	if isWrongType(result.Error()) {
		return rueidis.NewErrorResult(ErrForeign)
	}
	return result
}

const (
	// forgiven is how long a server may take to have all scripts again, in each
	// forgivenEvery: one that forgets them all the time is too slow.
	forgiven      = 10 * time.Second
	forgivenEvery = time.Minute
)

// forgets says whether it is forgiven that the server had no script, such as after SCRIPT
// FLUSH: sending it along takes a second round trip, which may be more time than there is.
func (l *link) forgets() bool {
	now := int64(time.Since(l.began)) + 1
	at := l.forgot.Load()
	if at == 0 || now-at > int64(forgivenEvery) {
		l.forgot.CompareAndSwap(at, now)
		return true
	}
	return now-at < int64(forgiven)
}
