package modules_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// TestConnectionsTakePlaces: each connection of scripts has a place until it is
// closed; where there is none, the request fails.
func TestConnectionsTakePlaces(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	var taken, all atomic.Int32
	full := false
	tenant := netTenant(t, modules.ClientConfig{Place: func() (func(), error) {
		if full {
			return nil, errors.New("no place")
		}
		all.Add(1)
		taken.Add(1)
		return func() { taken.Add(-1) }, nil
	}})
	L := netVM(t, tenant, vmtest.Limits(), map[string]string{"u": server.URL})
	check := func(script, want string, open int32) {
		t.Helper()
		if got, err := netEval(L, script); got != want || err != nil || taken.Load() != open {
			t.Errorf("%s: %s, %v, %d places are taken, want %s and %d", script, got, err, taken.Load(), want, open)
		}
	}
	check(`return http.get(u).status`, "200", 1)
	check(`return http.get("http://169.254.169.254/") == nil`, "true", 1) // refused: it is given back
	tenant.HTTP.Close()
	full = true
	check(`return http.get(u)`, "nil|no place", 0)
	if n := all.Load(); n != 2 {
		t.Errorf("%d places were taken, want one for each dial", n)
	}
}
