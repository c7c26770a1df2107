package http1

import (
	"bytes"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Request is a parsed request head.
type Request struct {
	message.Request
	Wire
}

// Reset makes r ready for another parse and keeps its memory.
func (r *Request) Reset() {
	r.Request.Reset()
	r.Wire = Wire{}
}

func (r *Request) head() *head { return &head{&r.Message, &r.Wire} }

// Parse parses a whole head, which ends with an empty line, as ReadHead
// returns it. The request's slices are views into head. maxTarget bounds the
// target's length in bytes. The error is a Violation.
func (r *Request) Parse(head []byte, maxTarget int) error {
	if r.Method != nil { // else nothing was parsed into it since it was reset
		r.Reset()
	}
	line, rest := cutLine(head)
	if err := r.parseLine(line, maxTarget); err != nil {
		return err
	}
	if err := r.head().parseFields(rest); err != nil {
		return err
	}
	if err := r.requestFraming(); err != nil {
		return err
	}
	if r.Minor == 0 { // which knows neither
		r.UpgradeAsked = false
	} else if r.Came(message.TE) {
		r.Trailers = r.readsTrailers()
	}
	return r.checkHost()
}

// readsTrailers reports whether the client has said so (RFC 9110 §10.1.4).
func (r *Request) readsTrailers() bool {
	for i := range r.Header {
		if r.Header[i].ID == message.TE && message.HasToken(r.Header[i].Value, "trailers") {
			return true
		}
	}
	return false
}

func (r *Request) parseLine(line []byte, maxTarget int) error {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || sp > 64 || !message.IsToken(line[:sp]) {
		return message.BadRequestLine
	}
	r.Method, line = line[:sp], line[sp+1:]
	sp = bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return message.BadRequestLine
	}
	r.Target = line[:sp]
	if !message.IsTargetText(r.Target) {
		return message.BadTarget
	}
	minor, err := parseVersion(line[sp+1:])
	if err != nil {
		return err
	}
	r.Minor, r.Version, r.Unsized = minor, versions[minor], minor == 1
	if len(r.Target) > maxTarget {
		return message.TargetTooLong
	}
	return r.splitTarget()
}

var asterisk = []byte{'*'}

// splitTarget tells the forms apart and cuts the target into its parts.
func (r *Request) splitTarget() error {
	t := r.Target
	switch {
	case string(r.Method) == "CONNECT":
		r.Form = message.AuthorityForm
		return nil
	case t[0] == '/':
		r.Form = message.OriginForm
	case len(t) == 1 && t[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return message.BadTarget
		}
		r.Form, r.Resource = message.AsteriskForm, t
		return nil
	default:
		r.Form = message.AbsoluteForm
		scheme := schemeLen(t)
		if scheme == 0 {
			return message.BadTarget
		}
		t = t[scheme:]
		end := bytes.IndexAny(t, "/?")
		if end < 0 {
			end = len(t)
		}
		r.Authority, t = t[:end], t[end:]
		if len(r.Authority) == 0 || bytes.IndexByte(r.Authority, '@') >= 0 {
			return message.BadTarget
		}
		if len(t) == 0 && string(r.Method) == "OPTIONS" { // RFC 9112 §3.2.4: asks the server as a whole
			r.Form, r.Resource = message.AsteriskForm, asterisk
			return nil
		}
	}
	if len(t) == 0 || t[0] == '?' { // http://host, http://host?query
		t = append([]byte{'/'}, t...)
	}
	r.Resource = t
	return nil
}

// schemeLen returns the length of "http://" or "https://" at the start of t.
func schemeLen(t []byte) int {
	switch {
	case len(t) > 7 && message.EqualFold(t[:7], "http://"):
		return 7
	case len(t) > 8 && message.EqualFold(t[:8], "https://"):
		return 8
	}
	return 0
}

// requestFraming applies RFC 9112 §6.3, more strictly than it asks: what two
// parsers could read in two ways is refused.
func (r *Request) requestFraming() error {
	if err := r.head().framing(); err != nil || !r.Came(message.Expect) {
		return err
	}
	for i := range r.Header {
		if r.Header[i].ID != message.Expect {
			continue
		}
		// A list, which may be empty and then expects nothing (RFC 9110 §10.1.1).
		for member, rest := message.NextToken(r.Header[i].Value); member != nil; member, rest = message.NextToken(rest) {
			if !message.EqualFold(member, "100-continue") {
				return message.BadExpect
			}
			r.Continue = r.Minor == 1 && r.Length != 0
		}
	}
	return nil
}

// checkHost demands one Host in HTTP/1.1 (RFC 9112 §3.2), and that it agrees
// with the target's authority where both are given. An origin server would
// ignore it then (§3.2.2); what disagrees is refused, since somebody on the way
// may have judged the other one.
func (r *Request) checkHost() error {
	var host []byte
	count := 0
	for i := range r.Header {
		if r.Header[i].ID == message.Host {
			host = r.Header[i].Value
			count++
		}
	}
	if count > 1 || count == 0 && r.Minor == 1 {
		return message.BadHost
	}
	if len(r.Authority) == 0 { // the target names none
		r.Authority = host
		return nil
	}
	port := 80
	if schemeLen(r.Target) == len("https://") {
		port = 443
	}
	if count == 1 && !message.SameAuthority(host, r.Authority, port) {
		return message.BadHost
	}
	return nil
}
