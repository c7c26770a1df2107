package cors

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// defaultMethods are those of Config.Methods.
var defaultMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	s := &sharing{config: c, exact: map[string]bool{}, methods: []byte(strings.Join(c.Methods, ", ")), maxAge: strconv.AppendInt(nil, int64(c.MaxAge.Std().Seconds()), 10)}
	if c.Methods == nil {
		s.methods = []byte(strings.Join(defaultMethods, ", "))
	}
	s.headers, s.expose = []byte(strings.Join(c.Headers, ", ")), []byte(strings.Join(c.Expose, ", "))
	for _, text := range c.Origins {
		o, _ := policy.ParseOrigin(text)
		switch {
		case text == every:
			s.every = true
		case o.Below:
			s.below = append(s.below, o)
		default:
			s.exact[o.Scheme+o.Host] = true
		}
	}
	return s, nil
}

// sharing is the policy.
type sharing struct {
	config  *Config
	every   bool
	exact   map[string]bool
	below   []policy.Origin
	methods []byte
	headers []byte // empty: whatever is asked for
	expose  []byte
	maxAge  []byte
}

// The states of a memo, whose text is the origin.
const (
	notAsked = iota
	sameOrigin
	allowed
	foreign // it isn't allowed
)

// Judge lets all pass but preflights: what an origin may do to which it isn't allowed
// to read the responses is csrf's.
func (s *sharing) Judge(r *policy.Request) (*policy.Answer, error) {
	s.look(r)
	if policy.IsPreflight(r) {
		return s.Preflight(r), nil
	}
	return nil, nil
}

// look finds out what the request's origin is.
func (s *sharing) look(r *policy.Request) int64 {
	m := r.Memo
	if m.Numbers[0] != notAsked {
		return m.Numbers[0]
	}
	origin, one := policy.Only(*r.Header, "origin")
	switch {
	case !one && policy.Lines(*r.Header, "origin") == 0:
		m.Numbers[0] = sameOrigin
	case one && s.allows(origin):
		m.Numbers[0], m.Text = allowed, origin
	default:
		m.Numbers[0] = foreign
	}
	return m.Numbers[0]
}

func (s *sharing) allows(text []byte) bool {
	if s.every || s.exact[string(text)] {
		return true
	}
	for i := range s.below {
		o := &s.below[i]
		rest, ok := bytes.CutPrefix(text, []byte(o.Scheme))
		if !ok {
			continue
		}
		if labels, ok := bytes.CutSuffix(rest, []byte(o.Host)); ok && isLabels(labels) {
			return true
		}
	}
	return false
}

// isLabels reports whether b may stand before a domain: nothing of it could be another
// part of an origin.
func isLabels(b []byte) bool {
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && i > 0 && b[i-1] != '.':
		default:
			return false
		}
	}
	return len(b) > 0 && b[len(b)-1] != '.'
}

// Preflight answers preflights; the fields that all responses get are Amend's.
func (s *sharing) Preflight(r *policy.Request) *policy.Answer {
	if s.look(r) != allowed {
		origin, _ := policy.Only(*r.Header, "origin")
		return &policy.Answer{Refusal: denied, Cause: fmt.Errorf("origin %.200q is not in origins", origin), Header: message.Header{varyOfPreflights}}
	}
	answer := &policy.Answer{Status: 204, Header: message.Header{varyOfPreflights, field("Access-Control-Allow-Methods", s.methods), field("Access-Control-Max-Age", s.maxAge)}}
	asked, _ := policy.Only(*r.Header, "access-control-request-headers")
	if names := s.headers; len(names) > 0 {
		answer.Header = append(answer.Header, field("Access-Control-Allow-Headers", names))
	} else if isNames(asked) {
		answer.Header = append(answer.Header, field("Access-Control-Allow-Headers", bytes.Clone(asked)))
	}
	if private, _ := policy.Only(*r.Header, "access-control-request-private-network"); s.config.PrivateNetwork && string(private) == "true" {
		answer.Header = append(answer.Header, field("Access-Control-Allow-Private-Network", []byte("true")))
	}
	return answer
}

func field(name string, value []byte) message.Field {
	return message.Field{Name: []byte(name), Value: value}
}

var varyOfPreflights = message.Field{Name: []byte("Vary"), ID: message.Vary,
	Value: []byte("Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network")}

// isNames reports whether a list has nothing but names of fields, and not too many.
func isNames(list []byte) bool {
	if len(list) > 4<<10 {
		return false
	}
	some := false
	for name, rest := message.NextToken(list); name != nil; name, rest = message.NextToken(rest) {
		if some = message.IsToken(name); !some {
			return false
		}
	}
	return some
}

var (
	allowOriginName, allowCredentialsName = []byte("Access-Control-Allow-Origin"), []byte("Access-Control-Allow-Credentials")
	exposeName, varyName, originName      = []byte("Access-Control-Expose-Headers"), []byte("Vary"), []byte("Origin")
	yes, all                              = []byte("true"), []byte(every)
)

// Amend says whether scripts of the request's origin may read the response, whoever
// made it. What a target says of that is replaced: there is one place that decides.
func (s *sharing) Amend(r *policy.Request, response *policy.Response) {
	h := response.Header
	for i := range *h {
		switch f := &(*h)[i]; {
		case len(f.Name) < len("access-control-"):
		case message.EqualFold(f.Name, "access-control-allow-origin"), message.EqualFold(f.Name, "access-control-allow-credentials"),
			message.EqualFold(f.Name, "access-control-expose-headers"):
			f.Dropped = true
		}
	}
	state := s.look(r)
	if !s.every {
		*h = append(*h, message.Field{Name: varyName, Value: originName, ID: message.Vary})
	}
	if state != allowed {
		return
	}
	value := r.Memo.Text
	if s.every {
		value = all
	}
	*h = append(*h, message.Field{Name: allowOriginName, Value: value})
	if s.config.Credentials {
		*h = append(*h, message.Field{Name: allowCredentialsName, Value: yes})
	}
	if len(s.expose) > 0 && (response.Status != 204 || !policy.IsPreflight(r)) {
		*h = append(*h, message.Field{Name: exposeName, Value: s.expose})
	}
}

// Explain is policy.Explainer's.
func (s *sharing) Explain(r *policy.Request) string {
	switch r.Memo.Numbers[0] {
	case allowed:
		return fmt.Sprintf("origin %.200q may read the response", r.Memo.Text)
	case foreign:
		return "the origin may not read the response: it is not in origins"
	}
	return "the request doesn't say that it is of another origin"
}
