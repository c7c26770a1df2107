package csrf

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	g := &guard{trusted: map[string]bool{}}
	for _, text := range c.TrustedOrigins {
		o, _ := policy.ParseOrigin(text)
		g.trusted[o.Scheme+o.Host] = true
	}
	if c.TokenCookie == "" {
		return g, nil
	}
	return &tokens{guard: g, cookie: c.TokenCookie, field: strings.ToLower(c.TokenHeader)}, nil
}

// guard is the policy without tokens: what browsers say of where a request comes from.
type guard struct{ trusted map[string]bool }

// Judge lets pass what changes nothing, and what comes from the same origin or no
// browser.
func (g *guard) Judge(r *policy.Request) (*policy.Answer, error) {
	if changesNothing(r) {
		return nil, nil
	}
	if why := g.foreign(r); why != nil {
		return refuse(why), nil
	}
	return nil, nil
}

// changesNothing reports whether a request is one that may come from anywhere. A
// WebSocket isn't, by which a page of another site would speak, and hear, for its user.
func changesNothing(r *policy.Request) bool {
	return isSafe(r.Method) && policy.Lines(*r.Header, "upgrade") == 0
}

func isSafe(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// foreign says why a request seems to be another site's: nil, it doesn't. All browsers
// since 2023 send Sec-Fetch-Site over TLS, and no page can set it; Origin is older.
// What sends neither is no browser, and has no cookies of somebody else's to bring.
func (g *guard) foreign(r *policy.Request) error {
	origin, one := policy.Only(*r.Header, "origin")
	if !one && policy.Lines(*r.Header, "origin") > 0 {
		return errors.New("it has several Origin fields")
	}
	if one && g.trusted[string(r.Lower(origin))] {
		return nil
	}
	site, says := policy.Only(*r.Header, "sec-fetch-site")
	switch {
	case !says && policy.Lines(*r.Header, "sec-fetch-site") > 0:
		return errors.New("it has several Sec-Fetch-Site fields")
	case says && (string(site) == "same-origin" || string(site) == "none"):
		return nil
	case says:
		return fmt.Errorf("Sec-Fetch-Site is %.40q, and its origin %.200q not in trusted_origins", site, origin)
	case !one || isOwn(r, origin):
		return nil
	}
	return fmt.Errorf("its origin %.200q is neither that of the host nor in trusted_origins", origin)
}

// isOwn reports whether an origin is the request's own, as far as is known: with the
// port that the client has asked for, and not without TLS where that is spoken.
func isOwn(r *policy.Request, origin []byte) bool {
	scheme, authority, ok := bytes.Cut(origin, []byte("://"))
	if !ok || r.Secure && !message.EqualFold(scheme, "https") {
		return false
	}
	asked, one := policy.Only(*r.Header, "host")
	if one {
		return bytes.EqualFold(authority, asked)
	}
	if i := bytes.LastIndexByte(authority, ':'); i >= 0 && !bytes.HasSuffix(authority, []byte("]")) {
		authority = authority[:i]
	}
	return bytes.EqualFold(authority, r.Host)
}

func refuse(cause error) *policy.Answer { return &policy.Answer{Refusal: refused, Cause: cause} }

// Explain is policy.Explainer's.
func (g *guard) Explain(r *policy.Request) string {
	if changesNothing(r) {
		return fmt.Sprintf("%s changes nothing", r.Method)
	}
	return "it doesn't seem to be of another site"
}

// tokens is the policy with tokens.
type tokens struct {
	*guard
	cookie string
	field  string // in lower case
}

// leastToken is how long a token must be, in bytes; ours are longer.
const leastToken = 16

// Judge is the guard's, and demands that the field has what the cookie has, but for
// WebSockets, for which no script can set a field.
func (t *tokens) Judge(r *policy.Request) (*policy.Answer, error) {
	if answer, err := t.guard.Judge(r); answer != nil || err != nil || isSafe(r.Method) {
		return answer, err
	}
	given, _ := cookie.Of(*r.Header, t.cookie)
	token, one := policy.Only(*r.Header, t.field)
	switch {
	case len(given) < leastToken:
		return refuse(fmt.Errorf("it has no cookie %s with a token", t.cookie)), nil
	case !one:
		return refuse(fmt.Errorf("it has not exactly one field %s with the token of the cookie %s", t.field, t.cookie)), nil
	case subtle.ConstantTimeCompare(given, token) != 1:
		return refuse(fmt.Errorf("its field %s has another token than its cookie %s", t.field, t.cookie)), nil
	}
	return nil, nil
}

// Amend gives a client a token that has none. Scripts of the origin can read it, and
// forms can't send it.
func (t *tokens) Amend(r *policy.Request, response *policy.Response) {
	if given, _ := cookie.Of(*r.Header, t.cookie); len(given) >= leastToken || !isSafe(r.Method) {
		return
	}
	secure := strings.HasPrefix(t.cookie, "__Host-") || strings.HasPrefix(t.cookie, "__Secure-")
	if secure && !r.Secure {
		return // browsers wouldn't keep it
	}
	line := t.cookie + "=" + rand.Text() + "; Path=/; SameSite=Lax"
	if r.Secure {
		line += "; Secure"
	}
	*response.Header = append(*response.Header, message.Field{Name: []byte("Set-Cookie"), Value: []byte(line), Added: true})
	if !isPrivate(*response.Header) {
		*response.Header = append(*response.Header, message.Field{Name: []byte("Cache-Control"), Value: []byte("private"), ID: message.CacheControl, Added: true})
	}
}

// isPrivate reports whether no cache that several share keeps a response: their clients
// would get the same token.
func isPrivate(h message.Header) bool {
	for i := range h {
		if f := &h[i]; !f.Dropped && f.ID == message.CacheControl && (message.HasToken(f.Value, "private") || message.HasToken(f.Value, "no-store")) {
			return true
		}
	}
	return false
}
