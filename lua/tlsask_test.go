package lua_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// TestTLSAsk has scripts say which names may have a certificate: true is a yes, false
// a no, and all else an error that is kept with its place.
func TestTLSAsk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		want   string // "yes", "no" or a part of the error
	}{
		"yes":                {"chi.tls_ask(function(name) return name == 'a.example.com' end)", "yes"},
		"no":                 {"chi_tls_ask(function(name) return name == 'b.example.com' end)", "no"},
		"all have to":        {"chi.tls_ask(function() return true end) chi.tls_ask(function() return false end)", "no"},
		"all do":             {"chi.tls_ask(function() return true end) chi.tls_ask(function() return true end)", "yes"},
		"a no ends it":       {"chi.tls_ask(function() return false end) chi.tls_ask(function() error('x') end)", "no"},
		"nothing":            {"chi.tls_ask(function() end)", "a.lua:1: the function of chi_tls_ask returned a nil value, expected true or false"},
		"a text":             {"chi.tls_ask(function() return 'yes' end)", "returned a string value"},
		"a number":           {"chi.tls_ask(function() return 1 end)", "returned a number value"},
		"more than one":      {"chi.tls_ask(function() return false, true end)", "no"},
		"an error":           {"\nchi.tls_ask(function() local x = nil + 1 return true end)", "a.lua:2: attempt to perform arithmetic on a nil value"},
		"a loop":             {"chi.tls_ask(function() while true do end end)", "is used up"},
		"a caught loop":      {"chi.tls_ask(function() pcall(function() while true do end end) return true end)", "is used up"},
		"memory":             {"chi.tls_ask(function() local s = 'x' while true do s = s .. s end end)", "a.lua:1: "},
		"a long sleep":       {"local time = require 'keystone.time' chi.tls_ask(function() time.sleep(50) return true end)", "a.lua:1: enough"},
		"yielding":           {"chi.tls_ask(function() coroutine.yield(true) return true end)", "a.lua:1: attempt to yield"},
		"none":               {"chi.get('/', function() end)", "no script declares chi_tls_ask"},
		"dictionary":         {"chi.tls_ask(function(name) return shared.incr(name, 1) == 1 end)", "yes"},
		"from a table":       {"local ok = { ['a.example.com'] = true } chi.tls_ask(function(name) return ok[name] or false end)", "yes"},
		"a declaration":      {"chi.tls_ask(function() chi.tls_ask(function() return true end) return true end)", "can only be called while the script is loaded"},
		"with strict_global": {"chi.tls_ask(function() global = 1 return true end)", "strict_globals"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, dir, "a.lua", c.script)
			o := options(dir, "a.lua")
			o.Config.StrictGlobals, o.Store = true, store.NewMemory(1<<20, time.Now)
			scripts, err := lua.Load(o)
			if err != nil {
				t.Fatal(err)
			}
			defer scripts.Close()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("enough"))
			if name == "a long sleep" {
				ctx, cancel = context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("enough"))
			}
			defer cancel()
			yes, err := scripts.TLSAsk(ctx, "a.example.com")
			have := map[bool]string{true: "yes", false: "no"}[yes]
			if err != nil {
				if have = err.Error(); yes {
					t.Error("an error is a yes")
				}
			}
			if !strings.Contains(have, c.want) {
				t.Errorf("%s, expected %s", have, c.want)
			}
			if last := scripts.View().LastErrors; err != nil && name != "none" && (len(last) != 1 || last[0].Message != err.Error() || last[0].Script != "a.lua") {
				t.Errorf("%+v is kept of %v", last, err)
			}
			if scripts.InQuarantine() != 0 {
				t.Error("asks put a script in quarantine")
			}
		})
	}
}

// TestTLSAskDeclared refuses declarations that mean nothing.
func TestTLSAskDeclared(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"chi.tls_ask(true)": "a.lua:1: bad argument #1 to 'tls_ask'",
		"\nchi.group('/a', function() chi.tls_ask(function() return true end) end)": "a.lua:2: chi_tls_ask stands in a group",
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", script)
		if _, err := lua.Load(options(dir, "a.lua")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", script, err, want)
		}
	}
}

// TestTLSAskSeesNoRequest: what a script has kept of a request is of no use.
func TestTLSAskSeesNoRequest(t *testing.T) {
	t.Parallel()
	scripts := load(t, "local kept chi.use(function(request, response, next) kept = request next() end) chi.tls_ask(function() return kept.method == 'GET' end)")
	if err := scripts.Serve(newRequest(), 0); err != nil {
		t.Fatal(err)
	}
	if yes, err := scripts.TLSAsk(t.Context(), "a.example.com"); yes || err == nil || !strings.Contains(err.Error(), "there is no request while chi_tls_ask is asked") {
		t.Errorf("%v %v", yes, err)
	}
}

// TestTLSAskEndsWithItsContext asks by one that is over, and where the VM has to be
// made.
func TestTLSAskEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.lua", "chi.tls_ask(function() return true end)")
	o := options(dir, "a.lua")
	o.Lazy = true // the VM has to be made
	o.Config.LoadTimeout = settings.Duration(time.Minute)
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("it is over"))
	if yes, err := scripts.TLSAsk(over, "a.example.com"); yes || err == nil || err.Error() != "it is over" {
		t.Errorf("%v %v, although nobody waits any more", yes, err)
	}
	if yes, err := scripts.TLSAsk(t.Context(), "a.example.com"); !yes || err != nil {
		t.Errorf("%v %v", yes, err)
	}
}

// TestTLSAskDoesNotWaitForVMs longer than its context lasts, whatever keeps them.
func TestTLSAskDoesNotWaitForVMs(t *testing.T) {
	t.Parallel()
	asked, hold := make(chan struct{}, 10), make(chan struct{})
	var holds atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if holds.Load() {
			asked <- struct{}{}
			<-hold
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	put(t, dir, "a.lua", "require('keystone.http').get('"+server.URL+"', {timeout = 50}) chi.tls_ask(function() return true end)")
	o := options(dir, "a.lua")
	o.Lazy = true // the VM is made by who asks first
	o.Config.LoadTimeout = settings.Duration(time.Minute)
	o.Config.HTTP.Allow = []string{"127.0.0.0/8"}
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	holds.Store(true)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(errors.New("nobody waits any more"))
	}()
	if yes, err := scripts.TLSAsk(ctx, "a.example.com"); yes || err == nil || err.Error() != "nobody waits any more" {
		t.Errorf("%v %v", yes, err)
	}
	holds.Store(false)
	close(hold)
	if yes, err := scripts.TLSAsk(t.Context(), "a.example.com"); !yes || err != nil {
		t.Errorf("afterwards: %v %v", yes, err)
	}
}
