package lua

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/test/pooled"
)

// wallClock is nobody's to wait by.
type wallClock struct{ modules.Clock }

func (wallClock) Now() time.Time { return time.Now() }

// TestCallsForgetTheirRequest fills every field that a call has of a request,
// and demands that its end leaves none of it: the next request, which runs on
// the same thread, may be anybody's.
func TestCallsForgetTheirRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(`chi_middleware(function(request, response, next) next() end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	config := DefaultConfig()
	config.Timeout, config.LoadTimeout = 60e9, 60e9 // no script uses that up
	scripts, err := Load(Options{Tenant: "shop", Dir: dir, Scripts: []string{"a.lua"}, Config: config, Log: zerolog.Nop(), Cache: NewCache(), Clock: wallClock{}})
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	sh, err := scripts.acquire(0)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.release(sh)

	c := sh.newCall()
	filled := pooled.Fill(t, &c.served, nothing{}, glua.LTrue, errors.New("x"))
	filled += pooled.Fill(t, &c.params) + pooled.Fill(t, &c.scope)
	if filled < 10 {
		t.Errorf("only %d fields were filled", filled)
	}
	c.frames = make([]frame, 2)
	for i := range c.frames {
		pooled.Fill(t, &c.frames[i], nothing{}, glua.LTrue, errors.New("x"))
		c.frames[i].step = nil // of a script that would be told
	}
	c.scratch = append(c.scratch, new(step))
	c.values = map[string]glua.LValue{"a": glua.LTrue}
	c.end(true)

	if len(sh.free) == 0 || sh.free[len(sh.free)-1] != c {
		t.Fatal("a call that ended well isn't kept")
	}
	for name, v := range map[string]any{"served": &c.served, "frames[0]": &c.frames[0], "frames[1]": &c.frames[1]} {
		for _, left := range pooled.Left(name, v, nil) {
			t.Error("after the end,", left)
		}
	}
	if len(c.scratch) > 0 || len(c.values) > 0 {
		t.Errorf("after the end there are %d steps and %d values", len(c.scratch), len(c.values))
	}
	for name, v := range map[string]any{"params": &c.params, "scope": &c.scope} {
		for _, left := range pooled.Left(name, v, map[string]string{name + ".spans": "numbers, of which so many are read as are counted"}) {
			t.Error("after the end,", left)
		}
	}

	// One that failed is not kept, and its thread leads to nobody.
	failed := sh.newCall()
	failed.end(false)
	if n := len(sh.free); n == 0 || sh.free[n-1] == failed || failed.run.Owner != nil || failed.values != nil || failed.objects != nil {
		t.Error("a call that failed is kept, or leads to what it had")
	}

	// A large table of request:set isn't kept either.
	large := sh.newCall()
	large.values = map[string]glua.LValue{}
	for i := range maxValues + 1 {
		large.values[string(rune('a'+i))] = glua.LTrue
	}
	if large.end(true); large.values != nil {
		t.Error("the memory of many values is kept")
	}
}

// nothing is an Exchange that is never used.
type nothing struct{ Exchange }
