package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// once returns what a key has, or else gives it what it is offered.
var once = rueidis.NewLuaScript(`
local kept = redis.call('GET', KEYS[1])
if kept then return kept end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`)

const secretSize = 32

// Secret returns the process's secret of that name, which all gateways have that ask for
// it within its life; who asks first makes it. It isn't a tenant's: those have names.
func (s *Shared) Secret(ctx context.Context, name string, life time.Duration) (secret []byte, err error) {
	c := s.current.Load()
	if c == nil {
		return nil, ErrNone
	}
	offered := make([]byte, secretSize)
	if _, err := rand.Read(offered); err != nil {
		return nil, err //nolint:wrapcheck // there is no such error
	}
	err = c.call(ctx, func(ctx context.Context, r rueidis.Client) error {
		text, err := once.Exec(ctx, r, []string{c.config.Prefix + "::" + name}, []string{string(offered), strconv.FormatInt(life.Milliseconds(), 10)}).ToString()
		if err == nil && len(text) != secretSize {
			return fmt.Errorf("%w: a secret has %d bytes", errReply, len(text))
		}
		secret = []byte(text)
		return err //nolint:wrapcheck // outcome looks at it
	})
	return secret, err
}
