// Package modules holds what scripts get beyond the language and the request:
// json, http, shared, crypto, jwt, re, time, url, log, limit, metrics, ip, cookie,
// policy, timer, template. Each is a file; each function counts the memory and the work that
// it does for a script on the script's run, and gives the VM away while it waits.
//
//	tables := modules.Open(L, &modules.Tenant{…}) // by their names; require finds them there
//	one := modules.OpenOne(L, tenant, "json")
package modules

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Clock is the time that scripts see.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or when ctx is done.
	Sleep(ctx context.Context, d time.Duration)
}

// Tenant is what the VMs of one tenant share.
type Tenant struct {
	Name   string
	Log    zerolog.Logger // names the tenant
	Budget *LogBudget     // Log's output, where it is bounded; nil is not
	Clock  Clock
	Random io.Reader   // cryptographically secure
	Store  store.Store // where shared and limit keep their entries
	HTTP   *fetch.Client
	// Env returns an environment variable that the configuration allows.
	Env func(name string) (string, bool)

	// Policies builds what the module policy is asked for; nil is no policies.
	Policies Policies

	// Metrics are those of its scripts; nil keeps those of each VM.
	Metrics *Metrics

	keys jwt.KeySets // of the module jwt
}

// Logging is what the owner of a run implements for its log lines to say
// which request they belong to.
type Logging interface {
	AppendLog(e *zerolog.Event)
}

// open lists the modules: each makes its table, which the caller freezes.
func open() map[string]func(L *glua.LState, t *Tenant) *glua.LTable {
	return map[string]func(L *glua.LState, t *Tenant) *glua.LTable{
		"json": openJSON, "http": openHTTP, "shared": openShared, "crypto": openCrypto, "jwt": openJWT,
		"re": openRE, "time": openTime, "url": openURL, "log": openLog, "limit": openLimit, "metrics": openMetrics,
		"ip": openIP, "cookie": openCookie, "policy": openPolicy, "timer": openTimer, "template": openTemplate,
	}
}

// Names lists the modules, without "keystone.".
func Names() []string { return slices.Sorted(maps.Keys(open())) }

// Open makes the tables of all modules for one VM.
func Open(L *glua.LState, t *Tenant) map[string]*glua.LTable {
	tables := map[string]*glua.LTable{}
	for name, f := range open() {
		tables[name] = f(L, t)
	}
	return tables
}

// OpenOne makes the table of one module for one VM, or nil if there is none of
// that name. A tenant's VM opens a module when a script first asks for it: most
// scripts use few, and each takes memory in each VM.
func OpenOne(L *glua.LState, t *Tenant, name string) *glua.LTable {
	f := open()[name]
	if f == nil {
		return nil
	}
	return f(L, t)
}

// checkNumber is L.CheckNumber for numerals of a length that numbers have.
func checkNumber(L *glua.LState, n int) float64 {
	if s, ok := L.Get(n).(glua.LString); ok && len(s) > maxNumeral {
		vm.ArgError(L, n, "number expected, got a string")
	}
	return float64(vm.CheckNumber(L, n))
}

// maxNumeral bounds the text of a number.
const maxNumeral = 4 << 10
