package fetch_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// TestConnectionsTakePlaces: each connection has a place until it is
// closed; where there is none, the request fails.
func TestConnectionsTakePlaces(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	var taken, all atomic.Int32
	full := false
	client := newClient(t, fetch.Config{Allow: permit("127.0.0.0/8"), Place: func() (func(), error) {
		if full {
			return nil, errors.New("no place")
		}
		all.Add(1)
		taken.Add(1)
		return func() { taken.Add(-1) }, nil
	}})
	check := func(url, want string, open int32) {
		t.Helper()
		got := "ok"
		if _, err := get(t, client, url); err != nil {
			got = err.Error()
		}
		if got != want || taken.Load() != open {
			t.Errorf("%s: %s, %d places are taken, want %s and %d", url, got, taken.Load(), want, open)
		}
	}
	check(server.URL, "ok", 1)
	check("http://169.254.169.254/", "connecting to 169.254.169.254 is not allowed", 1) // it is given back
	client.Close()
	full = true
	check(server.URL, "no place", 0)
	if n := all.Load(); n != 2 {
		t.Errorf("%d places were taken, want one for each dial", n)
	}
}
