package policy

import (
	"bytes"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// Credential is where requests have a key or a token.
type Credential struct {
	header    message.NameSet
	hasHeader bool
	scheme    string // with a space, in lower case; "" is none
	query     []byte // a name; empty is none
	cookie    string // a name; "" is none
}

// NewCredential looks into a field, with a scheme before what is looked for, into a
// parameter of the query and into a cookie, by their names; "" is none.
func NewCredential(header, scheme, query, cookie string) Credential {
	c := Credential{header: message.NewNameSet([]string{header}), hasHeader: header != "", query: []byte(query), cookie: cookie}
	if scheme != "" {
		c.scheme = strings.ToLower(scheme) + " "
	}
	return c
}

// Find returns what was sent, and in how many places there is something.
func (c *Credential) Find(r *Request) (sent []byte, places int) {
	if c.hasHeader {
		for i := range *r.Header {
			if value, ok := c.inField(&(*r.Header)[i]); ok {
				sent = value
				places++
			}
		}
	}
	if len(c.query) > 0 {
		for pair, rest := nextPair(r.Query); pair != nil; pair, rest = nextPair(rest) {
			if name, value, _ := bytes.Cut(pair, equals); isNamed(name, c.query) {
				sent = r.Append(func(dst []byte) []byte { return appendUnescaped(dst, value) })
				places++
			}
		}
	}
	if c.cookie != "" {
		if value, ok := cookie.Of(*r.Header, c.cookie); ok {
			sent = value
			places++
		}
	}
	return sent, places
}

var equals = []byte("=")

// inField is what a field has; ok is false where it is another field, or of another
// scheme.
func (c *Credential) inField(f *message.Field) (value []byte, ok bool) {
	if f.Dropped || !c.header.Has(f.Name) {
		return nil, false
	}
	n := len(c.scheme)
	switch {
	case n == 0:
		return f.Value, true
	case len(f.Value) < n || !message.EqualFold(f.Value[:n-1], c.scheme[:n-1]) || f.Value[n-1] != ' ':
		return nil, false
	}
	return message.Trim(f.Value[n:]), true
}

// Remove takes it out of everything that scripts and targets get.
func (c *Credential) Remove(r *Request) {
	if c.hasHeader {
		for i := range *r.Header {
			f := &(*r.Header)[i]
			if _, ok := c.inField(f); ok {
				f.Dropped = true
			}
		}
	}
	if len(c.query) > 0 {
		r.Query = c.withoutParameter(r)
	}
	if c.cookie != "" {
		c.removeCookie(r)
	}
}

func (c *Credential) removeCookie(r *Request) {
	for i := range *r.Header {
		f := &(*r.Header)[i]
		if f.ID != message.Unknown || f.Dropped || !message.EqualFold(f.Name, "cookie") {
			continue
		}
		if _, has := cookie.In(f.Value, c.cookie); !has {
			continue
		}
		field := f.Value
		if f.Value = r.Append(func(dst []byte) []byte { return cookie.AppendWithout(dst, field, c.cookie) }); len(f.Value) == 0 {
			f.Dropped = true
		}
	}
}

// withoutParameter is the query without the parameter; the rest of it stays as it is.
func (c *Credential) withoutParameter(r *Request) []byte {
	found := false
	for pair, rest := nextPair(r.Query); pair != nil && !found; pair, rest = nextPair(rest) {
		name, _, _ := bytes.Cut(pair, equals)
		found = isNamed(name, c.query)
	}
	if !found {
		return r.Query
	}
	query := r.Append(func(dst []byte) []byte {
		mark := byte('?')
		for pair, rest := nextPair(r.Query); pair != nil; pair, rest = nextPair(rest) {
			if name, _, _ := bytes.Cut(pair, equals); !isNamed(name, c.query) {
				dst = append(append(dst, mark), pair...)
				mark = '&'
			}
		}
		return dst
	})
	if len(query) == 0 {
		return nil
	}
	return query
}

// nextPair cuts the next pair off a query, which begins with its mark; nil is none.
func nextPair(query []byte) (pair, rest []byte) {
	if len(query) == 0 {
		return nil, nil
	}
	query = query[1:]
	if at := bytes.IndexByte(query, '&'); at >= 0 {
		return query[:at:at], query[at:]
	}
	return query[:len(query):len(query)], nil
}

// isNamed compares the name of a parameter, however it is escaped.
func isNamed(name, want []byte) bool {
	at := 0
	for i := 0; i < len(name); {
		b, n := message.Unescaped(name[i:])
		if at >= len(want) || b != want[at] {
			return false
		}
		at++
		i += n
	}
	return at == len(want)
}

// appendUnescaped decodes a parameter's value. A plus is one: keys have it, and no
// spaces.
func appendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		b, n := message.Unescaped(text[i:])
		dst = append(dst, b)
		i += n
	}
	return dst
}
