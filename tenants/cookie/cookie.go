// Package cookie reads cookies, writes them, and signs or encrypts their values, so that
// what a client brings back is what it was given, under the same name, and not too late.
// What a value means, and who may have which, is left to policies and scripts.
package cookie

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// MaxLine bounds a Set-Cookie field. Of the name and the value clients keep 4096 bytes
// together.
const (
	MaxLine = 8 << 10
	maxPair = 4 << 10
)

// The prefixes of names that promise how a cookie was set (section 4.1.3 of
// draft-ietf-httpbis-rfc6265bis).
const (
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"
)

// In returns a cookie's value in the value of a Cookie field, without quotes around
// it. The first of several wins (RFC 6265 §5.4: the one with the longest path).
func In(field []byte, name string) (value []byte, ok bool) {
	for len(field) > 0 {
		var pair []byte
		pair, field, _ = bytes.Cut(field, semicolon)
		if key, value, ok := bytes.Cut(bytes.TrimSpace(pair), equals); ok && string(key) == name {
			return unquoted(value), true
		}
	}
	return nil, false
}

// Of returns a cookie's value in a request's header. Fields that are Dropped aren't
// read. The first of several wins, as with In.
func Of(h message.Header, name string) (value []byte, ok bool) {
	for value := range All(h, name) {
		return value, true
	}
	return nil, false
}

// All are the values of all cookies of a name, as Of finds the first one: whoever can
// tell his own from others', which anybody at a neighbouring host may have set, looks at
// each.
func All(h message.Header, name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range h {
			f := &h[i]
			if f.ID != message.Unknown || f.Dropped || !message.EqualFold(f.Name, "cookie") {
				continue
			}
			for key, value, rest, ok := Next(f.Value); ok; key, value, rest, ok = Next(rest) {
				if string(key) == name && !yield(value) {
					return
				}
			}
		}
	}
}

// Next cuts the first cookie off the value of a Cookie field: its name and its value,
// without quotes around it, as In finds them. What has no name is passed over. ok is
// false when there is none any more.
func Next(field []byte) (name, value, rest []byte, ok bool) {
	for len(field) > 0 {
		var pair []byte
		pair, field, _ = bytes.Cut(field, semicolon)
		if name, value, ok = bytes.Cut(bytes.TrimSpace(pair), equals); ok && len(name) > 0 {
			return name, unquoted(value), field, true
		}
	}
	return nil, nil, nil, false
}

func unquoted(value []byte) []byte {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// Line returns the value of a Set-Cookie field. Without a path the cookie is for all
// of the host. The error says what is wrong with the cookie, be it that browsers would
// not keep it (draft-ietf-httpbis-rfc6265bis).
func Line(c *http.Cookie) (string, error) {
	whole := *c //nolint:gosec // G124: the attributes are the caller's
	if whole.Path == "" {
		whole.Path = "/"
	}
	if err := whole.Valid(); err != nil {
		return "", err
	}
	if err := keepable(&whole); err != nil {
		return "", err
	}
	line := whole.String()
	if len(line) > MaxLine {
		return "", fmt.Errorf("a cookie of %d bytes is too long, expected at most %d", len(line), MaxLine)
	}
	return line, nil
}

// keepable says why a browser would drop a cookie (section 5.7 there). Its prefixes are
// compared without regard to case, since programs behind the gateway may do so.
func keepable(c *http.Cookie) error {
	host := prefixed(c.Name, hostPrefix)
	switch {
	case c.Secure:
	case host:
		return errors.New("a cookie whose name begins with " + hostPrefix + " must be secure")
	case prefixed(c.Name, securePrefix):
		return errors.New("a cookie whose name begins with " + securePrefix + " must be secure")
	case c.SameSite == http.SameSiteNoneMode:
		return errors.New("a cookie with same_site None must be secure")
	}
	switch {
	case host && c.Domain != "":
		return errors.New("a cookie whose name begins with " + hostPrefix + " must have no domain")
	case host && c.Path != "/":
		return errors.New("a cookie whose name begins with " + hostPrefix + " must have the path /")
	case len(c.Name)+len(c.Value) > maxPair:
		return fmt.Errorf("a cookie's name and value of %d bytes are too long, expected at most %d", len(c.Name)+len(c.Value), maxPair)
	}
	return nil
}

func prefixed(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}
