package acme_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/test/authority"
)

// TestUselessAuthority: whatever an authority says, leads to and asks for, the name
// fails with a sentence of a bounded length, and is tried again within a day.
func TestUselessAuthority(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(plain.Close)
	problem := func(w http.ResponseWriter, status int, detail string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type": "urn:ietf:params:acme:error:malformed", "detail": %q, "status": %d}`, detail, status)
	}
	for name, test := range map[string]struct {
		path   string // of what is answered so
		answer http.HandlerFunc
		want   string
	}{
		"a long error": {"/order-plz", func(w http.ResponseWriter, _ *http.Request) {
			problem(w, http.StatusBadRequest, strings.Repeat("no, really, ", 10_000))
		}, "no, really, no"},
		"an error of no kind": {"/order-plz", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, strings.Repeat("<p>", 100_000))
		}, "HTTP 400"},
		"leads away from https": {"/dir", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"newNonce": %q, "newAccount": %[1]q, "newOrder": %[1]q}`, plain.URL)
		}, "expected a URL with https"},
		"redirects away from https": {"/dir", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, plain.URL, http.StatusFound)
		}, "expected a URL with https"},
		"answers without end": {"/dir", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for line := []byte(strings.Repeat(" ", 1<<16)); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, "sends more than an order may need"},
		"a large header": {"/dir", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Replay-Nonce", strings.Repeat("n", 1<<20))
			w.WriteHeader(http.StatusOK)
		}, "header"},
		"many authorizations": {"/order-plz", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Location", "https://"+r.Host+"/my-order/1")
			w.WriteHeader(http.StatusCreated)
			url := `"https://` + r.Host + `/authZ/1"`
			_, _ = fmt.Fprintf(w, `{"status": "pending", "authorizations": [%s%s], "finalize": %[1]s}`, url, strings.Repeat(","+url, 9999))
		}, "10000 times"},
		"asks for ages": {"/order-plz", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", strings.Repeat("9", 30))
			problem(w, http.StatusTooManyRequests, "later")
		}, "later"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := authority.Start(t, authority.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == test.path {
					test.answer(w, r)
				}
				return r.URL.Path == test.path
			}})
			g := start(t, t.TempDir())
			g.use(t, section(ca, nil), auto("a", "a.example.com"))
			is := g.becomes(t, "a.example.com", acme.Failing)
			if !strings.Contains(is.Error, test.want) || len(is.Error) > cause.MaxShort+len("…") {
				t.Errorf("the error is %q (%d bytes), want one with %q", is.Error, len(is.Error), test.want)
			}
			pause := is.Next.Sub(is.ErrorAt)
			if ages := name == "asks for ages"; ages && pause != 24*time.Hour || !ages && pause > 2*time.Minute {
				t.Errorf("it is tried again after %s", pause)
			}
		})
	}
	t.Cleanup(func() {
		if n := reached.Load(); n > 0 {
			t.Errorf("%d requests went out without TLS", n)
		}
	})
}

// TestRetryAfter reads the field, and waits for no longer than a day.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "86401": 24 * time.Hour,
		"2147483648": 24 * time.Hour, strings.Repeat("9", 40): 24 * time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
		now.AddDate(5000, 0, 0).Format(http.TimeFormat): 24 * time.Hour,
	} {
		if got := acme.RetryAfter(field, now); got != want {
			t.Errorf("%q: %s, want %s", field, got, want)
		}
	}
}
