// Package cookie reads cookies, writes them, and signs their values, so that what a
// client brings back is what it was given, under the same name, and not too late.
// What a value means, and who may have which, is left to policies and scripts.
package cookie

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// MaxLine bounds a Set-Cookie field; clients keep 4096 bytes (RFC 6265 §6.1).
const MaxLine = 8 << 10

// In returns a cookie's value in the value of a Cookie field, without quotes around
// it. The first of several wins (RFC 6265 §5.4: the one with the longest path).
func In(field []byte, name string) (value []byte, ok bool) {
	for len(field) > 0 {
		var pair []byte
		pair, field, _ = bytes.Cut(field, []byte(";"))
		if key, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("=")); ok && string(key) == name {
			if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			return value, true
		}
	}
	return nil, false
}

// Of returns a cookie's value in a request's header. Fields that are Dropped aren't
// read.
func Of(h message.Header, name string) (value []byte, ok bool) {
	for i := range h {
		if f := &h[i]; f.ID == message.Unknown && !f.Dropped && message.EqualFold(f.Name, "cookie") {
			if value, ok = In(f.Value, name); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// Line returns the value of a Set-Cookie field. Without a path the cookie is for all
// of the host. The error says what is wrong with the cookie.
func Line(c *http.Cookie) (string, error) {
	whole := *c //nolint:gosec // G124: the attributes are the caller's
	if whole.Path == "" {
		whole.Path = "/"
	}
	if err := whole.Valid(); err != nil {
		return "", err
	}
	line := whole.String()
	if len(line) > MaxLine {
		return "", fmt.Errorf("a cookie of %d bytes is too long, expected at most %d", len(line), MaxLine)
	}
	return line, nil
}
