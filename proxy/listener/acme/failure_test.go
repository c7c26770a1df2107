package acme_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/authority"
)

// later advances the clock to just after a time, and has the names looked at.
func (g *gateway) later(at time.Time) {
	g.clock.advance(at.Sub(g.clock.now()) + time.Second)
	g.Wake()
}

// TestFailingChallenge waits longer and longer while a name can't be proved, and
// tries each challenge each time.
func TestFailingChallenge(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port})
	g := start(t, t.TempDir())
	c := section(ca, nil)
	g.use(t, c, auto("a", "a.example.com"))
	is := g.becomes(t, "a.example.com", acme.Failing)
	if pause := is.Next.Sub(is.ErrorAt); pause < time.Minute || pause > 2*time.Minute || is.Failures != 1 ||
		!strings.Contains(is.Error, "challenge tls-alpn-01: ") || !strings.Contains(is.Error, "challenge http-01: ") {
		t.Errorf("%+v", is)
	}
	before := is.Next.Sub(is.ErrorAt)
	for failures := 2; failures <= 3; failures++ {
		g.later(is.Next)
		eventually(t, fmt.Sprint("it has failed ", failures, " times"), func() bool { is = g.status("a.example.com"); return is.Failures == failures })
		if pause := is.Next.Sub(is.ErrorAt); pause < 2*before {
			t.Errorf("pause %v after %v", pause, before)
		}
	}
	if orders := ca.Orders(); orders != 6 {
		t.Errorf("%d orders in three tries of two challenges, want 6", orders)
	}
	g.listen(t, at) // now the authority finds the gateway
	g.later(is.Next)
	g.becomes(t, "a.example.com", acme.Valid)
	g.serves(t, ca, "a.example.com")
}

// TestLimited leaves the authority alone for as long as it asks, with this name and
// for a moment with others.
func TestLimited(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	var asked atomic.Int64
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Before: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/order-plz" || asked.Add(1) > 1 {
			return false
		}
		w.Header().Set("Retry-After", "7200")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429}`)
		return true
	}})
	g := start(t, t.TempDir())
	g.listen(t, at)
	c := section(ca, nil)
	g.use(t, c, auto("a", "a.example.com"))
	is := g.becomes(t, "a.example.com", acme.Failing)
	if pause := is.Next.Sub(is.ErrorAt); pause < 2*time.Hour || pause > 3*time.Hour || !strings.Contains(is.Error, "too many") {
		t.Errorf("%+v", is)
	}
	g.use(t, c, auto("a", "a.example.com", "b.example.com"))
	var other acme.Status
	eventually(t, "another name waits too", func() bool {
		other = g.status("b.example.com")
		return strings.Contains(other.Error, "asked for a pause")
	})
	if pause := other.Next.Sub(g.clock.now()); pause > time.Minute {
		t.Errorf("another name waits for %v", pause)
	}
	g.later(other.Next)
	g.becomes(t, "b.example.com", acme.Valid)
	if n := ca.Orders(); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	g.later(is.Next)
	g.becomes(t, "a.example.com", acme.Valid)
	if counted := g.Counters(); counted.Limited != 1 || counted.Obtained != 2 {
		t.Errorf("%+v", counted)
	}
}

// TestAuthorityDown starts without an authority, which comes later.
func TestAuthorityDown(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port})
	ca.SetDown(true)
	g := start(t, t.TempDir())
	g.listen(t, at)
	g.use(t, section(ca, nil), auto("a", "a.example.com"))
	is := g.becomes(t, "a.example.com", acme.Failing)
	if !strings.Contains(is.Error, "502") || g.chain("a.example.com") != nil {
		t.Errorf("%+v", is)
	}
	ca.SetDown(false)
	g.later(is.Next)
	g.becomes(t, "a.example.com", acme.Valid)
	g.serves(t, ca, "a.example.com")
}

// TestBinding makes an account where one needs a binding, once for all names, and
// another one when the authority has forgotten it.
func TestBinding(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	var forgets atomic.Int64
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Accounts: map[string]string{"kid-1": key}, Before: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/order-plz" || !forgets.CompareAndSwap(1, 2) {
			return false
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"type": "urn:ietf:params:acme:error:accountDoesNotExist", "detail": "who?", "status": 400}`)
		return true
	}})
	g := start(t, t.TempDir())
	g.listen(t, at)
	c := section(ca, func(c *acme.Config) { c.EAB.KeyID, c.EAB.MACKey = "kid-1", key })
	g.use(t, c, auto("a", "a.example.com", "b.example.com"))
	g.becomes(t, "a.example.com", acme.Valid)
	g.becomes(t, "b.example.com", acme.Valid)
	if n := ca.Accounts(); n != 1 {
		t.Errorf("%d accounts, want 1", n)
	}
	forgets.Store(1)
	g.use(t, c, auto("a", "c.example.com"))
	g.becomes(t, "c.example.com", acme.Valid)
	if n := ca.Accounts(); n != 2 {
		t.Errorf("%d accounts, want 2", n)
	}
	if is := g.status("a.example.com"); is.Name != "" {
		t.Errorf("a name that is gone is looked after: %+v", is)
	}
}

// TestCommand ends a command that hangs with all that it has started, and says what
// it prints.
func TestCommand(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port})
	for _, c := range []struct{ script, want string }{
		{"echo no such zone >&2; exit 3", `exit status 3, it says "no such zone"`},
		{"sleep 1000 & wait", "it was not done within dns.timeout (1s)"},
	} {
		g := start(t, t.TempDir())
		g.use(t, section(ca, func(s *acme.Config) {
			s.DNS.Command, s.Challenges, s.DNS.Timeout = []string{script(t, c.script)}, []string{acme.DNS01}, settings.Duration(time.Second)
		}), auto("a", "*.example.com"))
		if is := g.becomes(t, "*.example.com", acme.Failing); !strings.Contains(is.Error, c.want) {
			t.Errorf("%s: %q, want %q", c.script, is.Error, c.want)
		}
	}
}
