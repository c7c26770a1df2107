package acme_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/authority"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
)

// renewed waits for another certificate than one.
func (g *gateway) renewed(t *testing.T, ca *authority.Authority, name string, certificates uint64) {
	t.Helper()
	eventually(t, name+" is renewed", func() bool { return g.Counters().Obtained == certificates })
	g.serves(t, ca, name)
}

// TestRenewal orders a new certificate when its time has come, and earlier when the
// authority says so, but not without end.
func TestRenewal(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	const life = 6 * 24 * time.Hour
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Lifetime: uint64(life / time.Second)})
	g := start(t, t.TempDir())
	g.listen(t, at)
	g.use(t, section(ca, nil), auto("a", "a.example.com"))
	is := g.becomes(t, "a.example.com", acme.Valid)
	if is.Renewal.Before(g.clock.now().Add(life/2)) || is.Renewal.After(is.NotAfter.Add(-life/6)) {
		t.Errorf("%v is renewed at %v", is.NotAfter, is.Renewal)
	}
	first := g.serves(t, ca, "a.example.com")
	text, err := json.Marshal(map[string]string{ // the authority is about to revoke it
		"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Raw})),
		"ARIResponse": `{"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequest(http.MethodPost, "/set-renewal-info/", bytes.NewReader(text)) //nolint:noctx // it is answered in the process
	request.Header.Set("User-Agent", "test")
	if answer := ca.Manage(request); answer.Code != http.StatusOK {
		t.Fatal(answer.Code, answer.Body)
	}
	g.clock.advance(7 * time.Hour)
	g.Wake()
	g.renewed(t, ca, "a.example.com", 2)
	is = g.status("a.example.com")
	g.clock.advance(is.NotAfter.Add(-time.Hour).Sub(g.clock.now())) // and now by itself: it has been asleep
	g.Wake()
	g.renewed(t, ca, "a.example.com", 3)
}

// TestClock puts the clock years ahead, where each new certificate has ended already,
// and back.
func TestClock(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Lifetime: 90 * 24 * 3600})
	g := start(t, t.TempDir())
	g.listen(t, at)
	g.use(t, section(ca, nil), auto("a", "a.example.com"))
	g.becomes(t, "a.example.com", acme.Valid)
	const years = 4 * 365 * 24 * time.Hour
	g.clock.advance(years)
	g.Wake()
	g.renewed(t, ca, "a.example.com", 2)
	if next := g.status("a.example.com").Next; next.Before(g.clock.now().Add(50 * time.Minute)) {
		t.Errorf("with a clock that is wrong it is ordered again at %v, it is %v", next, g.clock.now())
	}
	g.Wake()
	g.clock.advance(-years)
	g.use(t, section(ca, nil), auto("a", "a.example.com", "b.example.com"))
	g.becomes(t, "b.example.com", acme.Valid)
	eventually(t, "what was planned for a time far away is planned anew", func() bool {
		is := g.status("a.example.com")
		return is.State == acme.Valid && is.Next.Before(g.clock.now().Add(25*time.Hour)) && is.Renewal.After(g.clock.now())
	})
	if orders := ca.Orders(); orders != 3 {
		t.Errorf("%d orders, want 3", orders)
	}
}
