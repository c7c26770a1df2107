package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// Vault is what the process itself keeps in the store, and several gateways share: values
// under names that don't end, and locks. It isn't a tenant's: those have names. Its
// methods may be called at once, and wait shortly, up to a few time-outs; while the store
// is away they fail at once.
type Vault struct {
	of   *Shared
	name string
}

// Vault returns that of a name, such as "acme". Its keys are "PREFIX::NAME:KEY".
func (s *Shared) Vault(name string) *Vault { return &Vault{s, name} }

const (
	vaultTries = 3
	lockLife   = 30 * time.Second // of a lock whose holder says nothing any more
	lockBeat   = 5 * time.Second
)

// lockScript takes a lock, or keeps one that its holder has.
var (
	lockScript = newScript(`
local kept = redis.call('GET', KEYS[1])
if kept and kept ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)
	releaseScript = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`)
	deleteScript = newScript(`
redis.call('DEL', KEYS[1])
return 1
`)
)

// ask asks once more where no answer has come in time.
func (v *Vault) ask(key string, f func(ctx context.Context, r rueidis.Client, key string) error) (err error) {
	for range vaultTries {
		c := v.of.current.Load()
		if c == nil {
			return ErrNone
		}
		err = c.call(context.Background(), func(ctx context.Context, r rueidis.Client) error {
			return rights(f(ctx, r, c.config.Prefix+"::"+v.name+":"+key))
		})
		if !errors.Is(err, ErrLate) {
			break
		}
	}
	return err
}

// Load returns a value; the error is fs.ErrNotExist where there is none.
func (v *Vault) Load(key string) (value []byte, err error) {
	there := true
	err = v.ask(key, func(ctx context.Context, r rueidis.Client, key string) (err error) {
		result := known(r.Do(ctx, r.B().Get().Key(key).Build()))
		if rueidis.IsRedisNil(result.Error()) {
			there = false
			return nil
		}
		value, err = result.AsBytes()
		return err //nolint:wrapcheck // outcome looks at it
	})
	if err == nil && !there {
		return nil, fs.ErrNotExist
	}
	return value, err
}

// Save writes a value.
func (v *Vault) Save(key string, value []byte) error {
	if len(value) > MostValue {
		return fmt.Errorf("cannot keep %d bytes in the store, expected at most %d", len(value), MostValue)
	}
	return v.ask(key, func(ctx context.Context, r rueidis.Client, key string) error {
		return r.Do(ctx, r.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build()).Error() //nolint:wrapcheck // outcome looks at it
	})
}

// Delete removes a value. There being none is no error.
func (v *Vault) Delete(key string) error {
	return v.ask(key, func(ctx context.Context, r rueidis.Client, key string) error {
		return deleteScript.run(ctx, r, []string{key}).Error() //nolint:wrapcheck // as above
	})
}

// Lock takes a lock, if nobody has it: then release gives it back. It ends 30 s after its
// holder has died, or the store hasn't heard of it.
func (v *Vault) Lock(key string) (release func(), ok bool, err error) {
	token := rand.Text()
	take := func() (taken bool, err error) {
		err = v.ask(key+".lock", func(ctx context.Context, r rueidis.Client, key string) error {
			n, err := lockScript.run(ctx, r, []string{key}, token, strconv.FormatInt(lockLife.Milliseconds(), 10)).AsInt64()
			if err == nil && n != 0 && n != 1 {
				err = fmt.Errorf("%w of the script: %d", errReply, n)
			}
			taken = n == 1
			return err //nolint:wrapcheck // as above
		})
		return taken, err
	}
	if taken, err := take(); !taken || err != nil {
		return nil, false, err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(lockBeat)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				_, _ = take() // what it guards comes to no harm where another has it meanwhile
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
		_ = v.ask(key+".lock", func(ctx context.Context, r rueidis.Client, key string) error {
			return releaseScript.run(ctx, r, []string{key}, token).Error() //nolint:wrapcheck // as above
		})
	}), true, nil
}
