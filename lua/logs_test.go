package lua_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// logged is what scripts and their failures have written to the log.
type logged struct{ bytes.Buffer }

// lines returns the lines since the last call, of these members.
func (l *logged) lines(t *testing.T, members ...string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var all map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, name := range members {
			words = append(words, fmt.Sprint(all[name]))
		}
		lines = append(lines, strings.Join(words, " | "))
	}
	l.Reset()
	return lines
}

// loadLogged loads a script whose log is kept.
func loadLogged(t *testing.T, source string, change func(*lua.Options)) (*lua.Scripts, *logged) {
	t.Helper()
	dir, log := t.TempDir(), &logged{}
	put(t, dir, "a.lua", source)
	o := options(dir, "a.lua")
	o.Log, o.LogWriter, o.Shards = zerolog.New(log), log, 1
	o.Clock = fixedTime{time.Unix(1_700_000_000, 0)}
	if change != nil {
		change(&o)
	}
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	return scripts, log
}

// fixedTime is a clock that stands still.
type fixedTime struct{ at time.Time }

func (c fixedTime) Now() time.Time                     { return c.at }
func (fixedTime) Sleep(context.Context, time.Duration) {}

// TestFailuresAreLogged, with what they are, and kept with the same; counters say how
// many there were.
func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	scripts, log := loadLogged(t, `chi_middleware(function(request, response, next)
if request.query == "error" then error("no") end
if request.query == "spent" then while true do end end
next()
end)
chi.tls_ask(function(name) if name == "spent" then while true do end end print("asked") error("ask") end)`, func(o *lua.Options) { o.Config.MaxInstructions, o.Config.QuarantineAfter = 1000, 2 })
	ask := func(query string, id string) error {
		r := newRequest()
		r.request.Query, r.request.ID, r.request.Remote = []byte("?"+query), []byte(id), netip.MustParseAddr("192.0.2.9")
		return scripts.Serve(r, 0)
	}
	failed, ok := errors.AsType[*lua.Error](ask("error", "id-7"))
	if !ok || failed.ID != "id-7" || failed.Script != "a.lua" || failed.Kind != "error" || failed.Message != "a.lua:2: no" || !failed.At.Equal(time.Unix(1_700_000_000, 0)) || failed.At.Location() != time.UTC {
		t.Errorf("got %+v", failed)
	}
	if lines := log.lines(t, "level", "message", "request_id", "script", "kind", "error", "stack"); len(lines) != 1 || !strings.HasPrefix(lines[0], "error | a script failed | id-7 | a.lua | error | a.lua:2: no | ") || !strings.HasSuffix(lines[0], "a.lua:2: in the request's outermost function") {
		t.Errorf("logged %q", lines)
	}
	_ = ask("good", "")
	_ = ask("spent", "")
	if lines := log.lines(t, "level", "request_id", "kind"); len(lines) != 1 || lines[0] != "error | <nil> | instructions" {
		t.Errorf("logged %q", lines)
	}
	_ = ask("spent", "id-8")
	if lines := log.lines(t, "level", "message", "script", "for", "client", "kind"); len(lines) != 2 || lines[0] != "error | a script failed | a.lua | <nil> | <nil> | instructions" ||
		lines[1] != "warn | the script isn't run for this client for a while: it uses up its limits for most of its requests (quarantine) | a.lua | 1s | 192.0.2.9 | <nil>" {
		t.Errorf("logged %q", lines)
	}
	if err := ask("good", ""); !errors.As(err, new(*lua.QuarantineError)) || len(log.lines(t)) != 0 {
		t.Errorf("in quarantine: %v", err)
	}
	for _, name := range []string{"error", "spent"} {
		if _, err := scripts.TLSAsk(t.Context(), name); err == nil {
			t.Error("an ask that fails is a yes")
		}
	}
	if lines := log.lines(t, "message", "tls_name", "kind", "request_id"); !slices.Equal(lines, []string{"asked | error | <nil> | <nil>", "a script failed | <nil> | error | <nil>", "a script failed | <nil> | instructions | <nil>"}) {
		t.Errorf("asked, it logs %q", lines)
	}
	view := scripts.View()
	until := time.Unix(1_700_000_001, 0)
	if got := view.Scripts; len(got) != 1 || got[0].Name != "a.lua" || got[0].QuarantinedUntil == nil || !got[0].QuarantinedUntil.Equal(until) || got[0].QuarantinedForAll || got[0].QuarantinedClients != 1 {
		t.Errorf("the scripts are %+v", got)
	}
	if view.VMs != 1 || view.Runs != 7 || view.Failures != 5 || view.Exhausted != 3 || view.Quarantined != 1 || view.Recycled != 0 || view.LogDropped != 0 || len(view.LastErrors) != 5 || view.LastErrors[0].ID != "" || view.LastErrors[4] != failed {
		t.Errorf("the view is %+v", view)
	}
	if scripts.InQuarantine() != 1 || scripts.VMs() != 1 {
		t.Errorf("%d scripts in quarantine, %d VMs", scripts.InQuarantine(), scripts.VMs())
	}
}

// TestQuarantineOfAllIsLogged as one.
func TestQuarantineOfAllIsLogged(t *testing.T) {
	t.Parallel()
	scripts, log := loadLogged(t, `chi_middleware(function() while true do end end)`, func(o *lua.Options) { o.Config.MaxInstructions, o.Config.QuarantineAfter = 1000, 1 })
	_ = scripts.Serve(newRequest(), 0)
	if lines := log.lines(t, "level", "message", "script", "for", "client"); len(lines) != 2 || lines[1] != "warn | the script isn't run for a while: it uses up its limits, whoever asks (quarantine) | a.lua | 1s | <nil>" {
		t.Errorf("logged %q", lines)
	}
}

// TestLogsAreBounded: what is beyond the tenant's rate is dropped and counted, failures as
// well as what scripts write.
func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	for _, bounded := range []bool{true, false} {
		scripts, log := loadLogged(t, `chi_middleware(function() log.info(("x"):rep(3000)) error("no") end)`, func(o *lua.Options) {
			if o.Config.LogRate, o.Config.LogBurst = 1000, 2000; !bounded {
				o.LogWriter = nil
			}
		})
		for range 3 {
			_ = scripts.Serve(newRequest(), 0)
		}
		lines := log.lines(t, "level")
		if dropped := scripts.View().LogDropped; bounded && (len(lines) != 1 || dropped != 5) || !bounded && (len(lines) != 6 || dropped != 0) {
			t.Errorf("bounded %v: %d lines, %d dropped", bounded, len(lines), dropped)
		}
		if n := len(scripts.View().LastErrors); n != 3 {
			t.Errorf("%d errors are kept", n)
		}
	}
}

// TestFailuresThatContinue: with on_error: continue, a request whose script fails goes to the pool
// as it came, if that can still be done.
func TestFailuresThatContinue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code              string
		change            func(*lua.Options)
		poolless          bool
		restore           error
		want              string
		restored, unbound int
	}{
		{code: `response:header("X-A", "1") response:write("x") error("no")`, want: "pool", restored: 1, unbound: 1},
		{code: `error("no")`, poolless: true, want: "a.lua:1: no", unbound: 1},
		{code: `error("no")`, change: func(o *lua.Options) { o.Config.OnError = lua.OnErrorFail }, want: "a.lua:1: no", unbound: 1},
		{code: `next() error("no")`, want: "a.lua:1: no", unbound: 1},
		{code: `response:flush() error("no")`, want: "a.lua:1: no", unbound: 1},
		{code: `error("no")`, restore: errors.New("it can't be read again"), want: "it can't be read again", restored: 1, unbound: 1},
		{code: `next()`, want: "pool", unbound: 1},
	} {
		scripts, _ := loadLogged(t, "chi_middleware(function(request, response, next) "+c.code+" end)", func(o *lua.Options) {
			if o.Config.OnError = lua.OnErrorContinue; c.change != nil {
				c.change(o)
			}
		})
		x := &restorable{visit: visit{page: newPage()}, restore: c.restore}
		x.poolless = c.poolless
		err := scripts.Serve(x, 0)
		got := x.answer
		if err != nil {
			got = err.Error()
		}
		if got != c.want || x.restored != c.restored || x.unbound != c.unbound {
			t.Errorf("%s: %q, restored %d times, unbound %d times; want %q, %d, %d", c.code, got, x.restored, x.unbound, c.want, c.restored, c.unbound)
		}
		if strings.Contains(c.code, "X-A") && (len(x.response.Local) > 0 || len(x.response.Body) > 0) {
			t.Errorf("%s: what the script has set is left: %+v", c.code, x.response)
		}
	}
}

// restorable counts what the end of scripts asks of an exchange.
type restorable struct {
	visit
	restore           error
	restored, unbound int
}

func (r *restorable) Restore(because error) error {
	if because == nil {
		return errors.New("there is no reason")
	}
	r.restored++
	return r.restore
}

func (r *restorable) Unbound() { r.unbound++ }

// TestMetricsOfScripts are shown by name, labels and value.
func TestMetricsOfScripts(t *testing.T) {
	t.Parallel()
	stats := &lua.Stats{}
	scripts, _ := loadLogged(t, `local m = require "keystone.metrics" chi_middleware(function() m.add("b", 2) m.add("a", 1, {x = "y"}) shared.incr("n", 1) end)`, func(o *lua.Options) {
		o.Stats, o.Store = stats, store.NewMemory(1<<20, time.Now)
	})
	for range 2 {
		if err := scripts.Serve(newRequest(), 0); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	stats.OwnMetrics(func(name, labels string, value float64) { got = append(got, fmt.Sprint(name, " ", labels, " ", value)) })
	if !slices.Equal(got, []string{`a_total x="y" 2`, `b_total  4`}) || scripts.Stats() != stats || stats.Runs.Load() != 2 {
		t.Errorf("got %q", got)
	}
}
