package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// once returns what a key has, or else gives it what it is offered, unless that is nothing.
var once = newScript(`
local kept = redis.call('GET', KEYS[1])
if kept then return kept end
if ARGV[1] == '' then return '' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`)

// SecretSize is how long secrets are, in bytes.
const SecretSize = 32

// Secret returns the process's secret of that name, which all gateways have that ask for
// it within its life; who asks first gives what it offers. Where there is none, and
// nothing is offered, it is nil. It isn't a tenant's: those have names.
func (s *Shared) Secret(ctx context.Context, name string, offered []byte, life time.Duration) (secret []byte, err error) {
	c := s.current.Load()
	if c == nil {
		return nil, ErrNone
	}
	err = c.call(ctx, func(ctx context.Context, r rueidis.Client) error {
		text, err := once.run(ctx, r, []string{c.config.Prefix + "::" + name}, string(offered), strconv.FormatInt(life.Milliseconds(), 10)).ToString()
		switch {
		case err != nil:
			return err //nolint:wrapcheck // outcome looks at it
		case text == "" && len(offered) == 0:
			return nil
		case len(text) != SecretSize:
			return fmt.Errorf("%w: %s has %d bytes, expected %d", ErrForeign, name, len(text), SecretSize)
		}
		secret = []byte(text)
		return nil
	})
	return secret, err
}
