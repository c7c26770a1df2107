package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// MostValue is how long a string in a Dictionary may be, in bytes.
const MostValue = 256 << 10

// Dictionary is a tenant's store.Store that several gateways have, with the meaning of
// store.Memory: a budget, beyond which what was least recently used goes, and lives, by
// the server's clock. Of keys only hashes are sent. It is three keys of the server, which
// end when nobody has used any of it for a month.
type Dictionary struct {
	tenant *Tenant
	budget atomic.Int64
}

var _ store.Store = (*Dictionary)(nil)

// Dictionary returns that of the tenant, with a budget in bytes.
func (t *Tenant) Dictionary(budget int64) *Dictionary {
	d := &Dictionary{tenant: t}
	d.SetBudget(budget)
	return d
}

// SetBudget changes the budget; what exceeds it goes with the next entries that come.
func (d *Dictionary) SetBudget(budget int64) { d.budget.Store(budget) }

// Configured says whether there is a store now; one that is away is there.
func (d *Dictionary) Configured() bool { return d.tenant.Configured() }

// The errors of a Dictionary beside those of store, and of calls.
var (
	errDenied = errors.New("the store's user lacks rights that this needs")
	errFailed = errors.New("the store has failed")
)

const (
	largestShare = 16 // of the budget, as of Memory: one entry has at most so small a part
	unused       = 30 * 24 * time.Hour
	mostTTL      = 1 << 53 / 2 * time.Microsecond // beyond which the server's numbers don't reach
)

// Get returns the value of a key.
func (d *Dictionary) Get(ctx context.Context, key string) (value any, ok bool, err error) {
	text, ok, err := d.do(ctx, "get", key, nil)
	if !ok || err != nil {
		return nil, false, err
	}
	value, err = decode(text)
	return value, err == nil, err
}

// Set gives a key a value.
func (d *Dictionary) Set(ctx context.Context, key string, value any, ttl time.Duration) error {
	_, err := d.put(ctx, "set", key, value, ttl)
	return err
}

// Add is Set for a key that is absent.
func (d *Dictionary) Add(ctx context.Context, key string, value any, ttl time.Duration) (added bool, err error) {
	return d.put(ctx, "add", key, value, ttl)
}

func (d *Dictionary) put(ctx context.Context, op, key string, value any, ttl time.Duration) (bool, error) {
	text, err := encode(value)
	if err != nil {
		return false, err
	}
	size, err := d.sizeOf(key, text)
	if err != nil {
		if op == "add" { // it isn't too large to be left out
			if _, there, failed := d.TTL(ctx, key); there || failed != nil {
				return false, failed
			}
		}
		return false, err
	}
	life, err := milliseconds(ttl)
	if err != nil {
		return false, err
	}
	_, ok, err := d.do(ctx, op, key, []string{text, size, life})
	return ok, err
}

// Incr adds by to a number; an absent key counts as start, and gets ttl.
func (d *Dictionary) Incr(ctx context.Context, key string, by, start float64, ttl time.Duration) (value float64, err error) {
	size, err := d.sizeOf(key, "")
	if err != nil {
		return 0, err
	}
	life, err := milliseconds(ttl)
	if err != nil {
		return 0, err
	}
	text, _, err := d.do(ctx, "incr", key, []string{numeral(by), size, life, numeral(start)})
	if err != nil {
		return 0, err
	}
	decoded, err := decode(text)
	value, ok := decoded.(float64)
	if err == nil && !ok {
		err = errFailed
	}
	return value, err
}

// Delete forgets a key.
func (d *Dictionary) Delete(ctx context.Context, key string) (deleted bool, err error) {
	_, deleted, err = d.do(ctx, "delete", key, nil)
	return deleted, err
}

// TTL returns what is left of a key's life; 0 with ok is without end.
func (d *Dictionary) TTL(ctx context.Context, key string) (ttl time.Duration, ok bool, err error) {
	text, ok, err := d.do(ctx, "ttl", key, nil)
	if !ok || err != nil {
		return 0, false, err
	}
	left, err := strconv.ParseInt(text, 10, 64)
	if err != nil || left < 0 || left > int64(mostTTL/time.Millisecond) {
		return 0, false, errFailed
	}
	return time.Duration(left) * time.Millisecond, true, nil
}

// Take asks the limit of a key, which is apart from the entries. It isn't a policy's.
func (d *Dictionary) Take(ctx context.Context, key string, q store.Quota) (v store.Verdict, err error) {
	c := d.tenant.of.current.Load()
	if c == nil {
		return v, ErrNone
	}
	at := d.tenant.key(c, "l") + "scripts:" + hashOf([]byte(key))
	err = c.call(ctx, func(ctx context.Context, r rueidis.Client) error {
		got, err := c.take(ctx, r, at, q, 0)
		v = got.Verdict
		return err
	})
	return v, forScripts(err)
}

// do has the server do one thing with a key's entry; ok is what it says to that.
func (d *Dictionary) do(ctx context.Context, op, key string, more []string) (text string, ok bool, err error) {
	c := d.tenant.of.current.Load()
	if c == nil {
		return "", false, ErrNone
	}
	// All three have to be in one place of a cluster.
	at := c.config.Prefix + ":{" + d.tenant.name + "}:d:"
	keys := []string{at + "values", at + "used", at + "ends"}
	args := append([]string{op, hashOf([]byte(key)), strconv.FormatInt(d.budget.Load(), 10), strconv.FormatInt(unused.Milliseconds(), 10)}, more...)
	var answer []string
	err = c.call(ctx, func(ctx context.Context, r rueidis.Client) (err error) {
		answer, err = dictionary.run(ctx, r, keys, args...).AsStrSlice()
		if err == nil && (len(answer) == 0 || len(answer) > 2) {
			return fmt.Errorf("%w of the script", errReply)
		}
		return rights(err)
	})
	if err != nil {
		return "", false, forScripts(err)
	}
	if len(answer) == 2 {
		text = answer[1]
	}
	switch answer[0] {
	case "ok":
		return text, true, nil
	case "none":
		return "", false, nil
	case "number":
		return "", false, fmt.Errorf("cannot increment: %w", store.ErrNotNumber)
	case "finite":
		return "", false, fmt.Errorf("cannot increment: %w", store.ErrNotFinite)
	case "foreign":
		return "", false, ErrForeign
	}
	return "", false, errFailed
}

// forScripts is an error without what tells of the gateway's network and its server.
func forScripts(err error) error {
	for _, known := range []error{ErrNone, ErrAway, ErrLate, ErrForeign, errDenied, store.ErrNotLimit, store.ErrQuota, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	if err != nil {
		return errFailed
	}
	return nil
}

// hashOf is what is sent of a key.
func hashOf(key []byte) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sizeOf is what an entry is counted as.
func (d *Dictionary) sizeOf(key, text string) (string, error) {
	size, most := store.Overhead+len(key), d.budget.Load()/largestShare
	if strings.HasPrefix(text, "s") {
		size += len(text) - 1
	}
	if most = min(most, MostValue+store.Overhead); int64(size) > most {
		return "", fmt.Errorf("%w: it needs %d bytes, and may have %d", store.ErrTooLarge, size, max(most, 0))
	}
	return strconv.Itoa(size), nil
}

func milliseconds(ttl time.Duration) (string, error) {
	switch {
	case ttl < 0:
		return "", fmt.Errorf("%w: it is %v", store.ErrTTL, ttl)
	case ttl > mostTTL:
		ttl = 0
	}
	return strconv.FormatInt(int64((ttl+time.Millisecond-1)/time.Millisecond), 10), nil
}

// numeral is a number as every Lua reads it.
func numeral(n float64) string {
	return strings.Replace(strconv.FormatFloat(n, 'g', -1, 64), "e+", "e", 1)
}

// encode makes a text of a value, with its type.
func encode(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return "s" + value, nil
	case float64:
		return "n" + numeral(value), nil
	case bool:
		return "b" + strconv.FormatBool(value), nil
	}
	return "", fmt.Errorf("%w, not %T", store.ErrValue, value)
}

func decode(text string) (any, error) {
	if text != "" {
		switch rest := text[1:]; text[0] {
		case 's':
			return rest, nil
		case 'n':
			if n, err := strconv.ParseFloat(rest, 64); err == nil || math.IsInf(n, 0) {
				return n, nil
			}
		case 'b':
			if b, err := strconv.ParseBool(rest); err == nil {
				return b, nil
			}
		}
	}
	return nil, ErrForeign
}
