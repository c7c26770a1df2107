package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/redis/rueidis"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// ErrForeign is of a key that holds what the gateway hasn't put there, or something of
// another type. It says nothing of the server, nor of other keys.
var ErrForeign = errors.New("the store holds something else under this key")

// errForgotten is of a call whose script had to be sent along, which took the time that
// the call had.
var errForgotten = errors.New("the server had forgotten the script")

// ofKey says that a server has answered, and that only the key isn't as expected.
func ofKey(err error) bool {
	return errors.Is(err, ErrForeign) || errors.Is(err, store.ErrNotLimit) || errors.Is(err, store.ErrQuota) || errors.Is(err, errDenied)
}

// guarded is f without the library's panics, which are about replies.
func guarded(f func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = errReply
		}
	}()
	return f()
}

const (
	mostSaid = 200      // bytes of an error's text
	mostRead = 16 << 10 // of which so many are looked at
	hidden   = "***"
)

// said is an error from outside, with a text that may be shown: bounded, on one line,
// and without passwords. What it wraps has another text, so it can be asked for with
// errors.Is alone.
type said struct {
	text string
	err  error
}

func (s *said) Error() string        { return s.text }
func (s *said) Is(target error) bool { return errors.Is(s.err, target) }

// word is where errors from outside come in: of the network, the library and servers,
// which repeat what they were sent. Nothing else makes an error of what they say.
func (c *Config) word(err error) error {
	var known *said
	if err == nil || ofKey(err) || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, ErrLate) {
		return err
	}
	text := cause.Text(err)
	text = text[:min(len(text), mostRead)]
	// "ERR unknown command 'AUTH', with args beginning with: 'secret'"
	text, _, _ = strings.Cut(text, ", with args beginning with")
	text = hide(text, c.Password)
	if c.Sentinel != nil {
		text = hide(text, c.Sentinel.Password)
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return &said{cause.Clip(text, mostSaid), err}
}

// leastPart is how many of a password's first bytes are hidden where a server, or the
// guard, has cut it.
const leastPart = 3

// hide takes a password out of a text, as it is and as %q has it, and what is left of one
// that was cut: at the text's end, or before a quotation mark.
func hide(text, password string) string {
	if password == "" {
		return text
	}
	quoted := strconv.Quote(password)
	for _, form := range []string{password, quoted[1 : len(quoted)-1], strings.NewReplacer("\r", " ", "\n", " ").Replace(password)} {
		text = strings.ReplaceAll(text, form, hidden)
		for at := 0; at < len(text); at++ {
			if n := common(text[at:], form); n >= leastPart && (at+n == len(text) || strings.IndexByte("'\"`", text[at+n]) >= 0) {
				text = text[:at] + hidden + text[at+n:]
			}
		}
	}
	return text
}

// common is how many bytes a and b begin with that are the same.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// outcome counts how a call has ended, and says so in words that may be shown.
func (c *client) outcome(ctx, within context.Context, l *link, err error) error {
	switch {
	case err == nil:
		c.counts.answered.Add(1)
		l.works()
		return nil
	case ofKey(err):
		c.counts.unusable.Add(1)
		l.works()
		return err
	case ctx.Err() != nil: // the caller's: it says nothing of the server
		return context.Cause(ctx)
	case within.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		c.counts.late.Add(1)
		if errors.Is(err, errForgotten) && l.forgets() {
			return ErrLate
		}
		err = ErrLate
	default:
		c.counts.failed.Add(1)
		err = c.config.word(err)
	}
	if l.failures.Add(1) >= MostFailures {
		c.lose(l, err)
	}
	return err
}

// works ends a row of failures.
func (l *link) works() {
	if l.failures.Load() != 0 {
		l.failures.Store(0)
	}
}

// isWrongType says that a key is of another type, whichever way a server words it.
func isWrongType(err error) bool {
	refused, ok := rueidis.IsRedisErr(err)
	return ok && strings.Contains(refused.Error(), "WRONGTYPE")
}

// isDenied says that a user of the server lacks rights, in the words of each version: a
// script is told so in others than a client.
func isDenied(err error) bool {
	refused, ok := rueidis.IsRedisErr(err)
	return ok && slices.ContainsFunc([]string{"NOPERM", "ACL failure in script", "The user executing the script can't"}, func(words string) bool {
		return strings.Contains(refused.Error(), words)
	})
}
