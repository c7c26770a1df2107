package lua

import (
	"cmp"
	_ "embed" // for Source
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

//go:embed config.go
var source string

// Source returns the text of this file, whose comments document the section.
func Source() string { return source }

// Config is the section lua of a tenant: what its scripts may use.
type Config struct {
	// VM instructions that one request may run, in all its functions and
	// coroutines together. Work of library functions counts too, about one for
	// 20 ns. Beyond, 500. Default: 10000000.
	MaxInstructions int64 `yaml:"max_instructions" min:"1000" max:"1099511627776"`

	// How long one request may keep a VM busy; waiting (next, the HTTP client,
	// sleep) doesn't count. Beyond, 500. Default: 100ms.
	Timeout settings.Duration `yaml:"timeout"`

	// How long loading the scripts may take, reading, compiling and waiting (for
	// the HTTP client, say) included. Beyond, the tenant's new scripts are given
	// up, as when they are broken. It is the longest time by which one tenant can
	// delay a start or a reload. Default: 5s.
	LoadTimeout settings.Duration `yaml:"load_timeout"`

	// How long a request may take from its first script to its last, waiting
	// included. 0 is no limit, for scripts that stream events. Default: 60s.
	TotalTimeout settings.Duration `yaml:"total_timeout"`

	// Memory that one request's scripts may ask for: strings, tables,
	// coroutines, bodies; what is freed meanwhile is not taken off. Beyond,
	// 500. Default: 64MiB.
	MaxMemory settings.Size `yaml:"max_memory"`

	// Memory that all the tenant's requests in flight may ask for together, and,
	// apart from that, what the variables of one VM may hold. A request that goes
	// beyond gets 500; a VM that does is replaced by a fresh one. There are as
	// many VMs as processors. Default: 64MiB.
	MaxVMMemory settings.Size `yaml:"max_vm_memory"`

	// Memory that requests which ask for more than 1 MiB each may ask for
	// together in a second; those ahead of it wait, at most a second, beyond which
	// they get 500. 8 MiB at once are free. 0 is no limit. Default: 64MiB.
	MaxMemoryRate settings.Size `yaml:"max_memory_rate"`

	// Timers that the tenant's scripts may have: functions that run by themselves.
	// Default: 10.
	MaxTimers int `yaml:"max_timers" min:"0" max:"1000"`

	// Coroutines that one request may make. Default: 100.
	MaxCoroutines int `yaml:"max_coroutines" min:"0" max:"1000000"`

	// Largest request body that scripts may read; beyond, 413. Also the largest
	// response body. Default: 1MiB.
	MaxBody settings.Size `yaml:"max_body"`

	// Requests that may wait for one VM; more get 503. Default: 1000.
	MaxWaiting int `yaml:"max_waiting" min:"1" max:"1000000"`

	// Whether assigning to a global variable while a request runs is an error.
	// If not, the variable changes in one VM only, so that other requests may
	// or may not see it. Default: false.
	StrictGlobals bool `yaml:"strict_globals"`

	// What becomes of a request whose script fails before it has called next:
	// "fail" answers with 500, "continue" sends it to the pool as if there were
	// no scripts, which opens what a script was to guard. Default: fail.
	OnError string `yaml:"on_error" enum:"fail,continue"`

	// Whether clients are told a failing script's error message. Default: false.
	ExposeErrors bool `yaml:"expose_errors"`

	// How many requests must use up their instructions, time or memory within
	// half a minute for their script to be quarantined. If they are more than half
	// of a client's, that client's requests get 503, at first for one second, then
	// for twice as long each time, up to a minute; everybody's do where the script
	// works for nobody. A reload releases it. 0 is never. Default: 5.
	QuarantineAfter int `yaml:"quarantine_after" min:"0" max:"1000000"`

	// Bytes a second that the tenant may write to the gateway's log: what its
	// scripts log and print, and reports of their failures. What is beyond is
	// dropped and counted, and a line says so. 0 is no limit. Default: 256KiB.
	LogRate settings.Size `yaml:"log_rate"`

	// Bytes of that which may come at once. Default: 1MiB.
	LogBurst settings.Size `yaml:"log_burst"`

	// Environment variables that scripts may read. Default: none.
	Env []string `yaml:"env"`

	// Values that scripts read like environment variables of these names, before
	// those, such as API_KEY: "${file:/run/secrets/api-key}". They needn't be in
	// env, and are shown nowhere. When one changes, the scripts are loaded again.
	// Default: none.
	Secrets map[string]string `yaml:"secrets" secret:"true"`

	// Memory of the dictionary that all VMs of the tenant share. Default: 16MiB.
	SharedMemory settings.Size `yaml:"shared_memory"`

	// Where shared and limit keep what they have: redis is the configuration's store,
	// together with all gateways that have it; local is this process's memory. Default:
	// redis if there is a store, else local.
	Store string `yaml:"store" enum:"redis,local"`

	// The HTTP client of scripts.
	HTTP HTTPConfig `yaml:"http"`
}

// HTTPConfig is the section lua.http of a tenant.
type HTTPConfig struct {
	// Longest time of one request, unless the script says otherwise. Default: 5s.
	Timeout settings.Duration `yaml:"timeout"`

	// Largest response body. Default: 1MiB.
	MaxResponse settings.Size `yaml:"max_response"`

	// What may be reached although it is denied by default, which are the
	// addresses of loopback, link-local (which has the clouds' metadata
	// services), multicast and unspecified ones: networks, addresses or names,
	// each with or without a port, such as "127.0.0.1:9000", "169.254.10.0/24",
	// "[::1]:9000" or "localhost:9000". A name opens whatever it resolves to.
	// What the gateway itself listens on stays closed; "127.0.0.1:8080", an
	// address with a port, opens the public listener, never the admin API's.
	// Default: none.
	Allow []string `yaml:"allow"`

	// Networks that may not be reached, such as "10.0.0.0/8": private networks
	// are open by default. Default: none.
	Deny []string `yaml:"deny"`
}

// Values of Config.Store; "" is the default.
const (
	StoreRedis = "redis"
	StoreLocal = "local"
)

// Values of Config.OnError.
const (
	OnErrorFail     = "fail"
	OnErrorContinue = "continue"
)

const defaultLoadTimeout = 5 * time.Second

func (c *Config) loadTimeout() time.Duration { return cmp.Or(c.LoadTimeout.Std(), defaultLoadTimeout) }

// DefaultConfig returns the section's defaults.
func DefaultConfig() Config {
	return Config{
		MaxInstructions: 10_000_000,
		Timeout:         settings.Duration(100 * time.Millisecond),
		LoadTimeout:     settings.Duration(defaultLoadTimeout),
		TotalTimeout:    settings.Duration(time.Minute),
		MaxMemory:       64 << 20,
		MaxVMMemory:     64 << 20,
		MaxMemoryRate:   64 << 20,
		MaxTimers:       10,
		MaxCoroutines:   100,
		MaxBody:         1 << 20,
		MaxWaiting:      1000,
		OnError:         OnErrorFail,
		QuarantineAfter: 5,
		LogRate:         256 << 10,
		LogBurst:        1 << 20,
		SharedMemory:    16 << 20,
		HTTP:            HTTPConfig{Timeout: settings.Duration(5 * time.Second), MaxResponse: 1 << 20},
	}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	const most = 1 << 40
	for _, limit := range []struct {
		field      any
		name       string
		value      int64
		low, limit int64
	}{
		{&c.MaxInstructions, "max_instructions", c.MaxInstructions, 1000, most},
		{&c.MaxMemory, "max_memory", c.MaxMemory.Int64(), 64 << 10, most},
		{&c.MaxVMMemory, "max_vm_memory", c.MaxVMMemory.Int64(), 64 << 10, most},
		{&c.MaxMemoryRate, "max_memory_rate", c.MaxMemoryRate.Int64(), 0, most},
		{&c.MaxBody, "max_body", c.MaxBody.Int64(), 0, 1 << 30},
		{&c.SharedMemory, "shared_memory", c.SharedMemory.Int64(), 0, most},
		{&c.LogRate, "log_rate", c.LogRate.Int64(), 0, most},
		{&c.LogBurst, "log_burst", c.LogBurst.Int64(), 1 << 10, most},
		{&c.MaxTimers, "max_timers", int64(c.MaxTimers), 0, 1000},
		{&c.MaxCoroutines, "max_coroutines", int64(c.MaxCoroutines), 0, 1_000_000},
		{&c.MaxWaiting, "max_waiting", int64(c.MaxWaiting), 1, 1_000_000},
		{&c.QuarantineAfter, "quarantine_after", int64(c.QuarantineAfter), 0, 1_000_000},
		{&c.HTTP.MaxResponse, "http.max_response", c.HTTP.MaxResponse.Int64(), 0, 1 << 30},
	} {
		if limit.value < limit.low || limit.value > limit.limit {
			r.Errorf(limit.field, "lua.%s is %d, expected %d to %d", limit.name, limit.value, limit.low, limit.limit)
		}
	}
	if c.Timeout.Std() < time.Millisecond || c.Timeout.Std() > time.Hour {
		r.Errorf(&c.Timeout, "lua.timeout is %v, expected 1ms to 1h", c.Timeout)
	}
	if c.Store != "" && c.Store != StoreRedis && c.Store != StoreLocal {
		r.Errorf(&c.Store, "lua.store %.40q is unknown, expected redis or local", c.Store)
	}
	if c.TotalTimeout != 0 && c.TotalTimeout < c.Timeout {
		r.Errorf(&c.TotalTimeout, "lua.total_timeout is %v, expected 0 or at least lua.timeout, which is %v", c.TotalTimeout, c.Timeout)
	}
	if c.LoadTimeout.Std() < 10*time.Millisecond || c.LoadTimeout.Std() > time.Minute {
		r.Errorf(&c.LoadTimeout, "lua.load_timeout is %v, expected 10ms to 1m", c.LoadTimeout)
	}
	if c.HTTP.Timeout.Std() <= 0 {
		r.Errorf(&c.HTTP.Timeout, "lua.http.timeout is %v, expected more than 0", c.HTTP.Timeout)
	}
	for i := range c.Env {
		if name, _, valued := strings.Cut(c.Env[i], "="); valued {
			r.Errorf(&c.Env[i], "lua.env has a value for %q, expected names only: values belong in lua.secrets", name)
		}
	}
	for name := range c.Secrets {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			r.Errorf(&c.Secrets, "lua.secrets has the name %q, expected one that an environment variable can have", name)
		}
	}
	for i := range c.HTTP.Deny {
		if _, ok := network.Parse(c.HTTP.Deny[i]); !ok {
			r.Errorf(&c.HTTP.Deny[i], "network %q is not one, expected the like of 10.0.0.0/8 or 192.0.2.7", c.HTTP.Deny[i])
		}
	}
	for i := range c.HTTP.Allow {
		if _, ok := permission(c.HTTP.Allow[i]); !ok {
			r.Errorf(&c.HTTP.Allow[i], "%q is no network, address or name, expected the like of 10.0.0.0/8, 127.0.0.1:9000, [::1]:9000 or localhost:9000", c.HTTP.Allow[i])
		}
	}
}
