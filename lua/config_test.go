package lua_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// complaints are what a check reports.
type complaints []string

func (c *complaints) Errorf(_ any, format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// TestConfigToTheLast: the least and the most that each setting may be.
func TestConfigToTheLast(t *testing.T) {
	t.Parallel()
	const most = 1 << 40
	type set = func(c *lua.Config, n int64)
	for name, c := range map[string]struct {
		set   set
		least int64
		most  int64
	}{
		"lua.max_instructions":  {func(c *lua.Config, n int64) { c.MaxInstructions = n }, 1000, most},
		"lua.max_memory":        {func(c *lua.Config, n int64) { c.MaxMemory = settings.Size(n) }, 64 << 10, most},
		"lua.max_vm_memory":     {func(c *lua.Config, n int64) { c.MaxVMMemory = settings.Size(n) }, 64 << 10, most},
		"lua.max_memory_rate":   {func(c *lua.Config, n int64) { c.MaxMemoryRate = settings.Size(n) }, 0, most},
		"lua.max_body":          {func(c *lua.Config, n int64) { c.MaxBody = settings.Size(n) }, 0, 1 << 30},
		"lua.shared_memory":     {func(c *lua.Config, n int64) { c.SharedMemory = settings.Size(n) }, 0, most},
		"lua.log_rate":          {func(c *lua.Config, n int64) { c.LogRate = settings.Size(n) }, 0, most},
		"lua.log_burst":         {func(c *lua.Config, n int64) { c.LogBurst = settings.Size(n) }, 1 << 10, most},
		"lua.max_coroutines":    {func(c *lua.Config, n int64) { c.MaxCoroutines = int(n) }, 0, 1_000_000},
		"lua.max_timers":        {func(c *lua.Config, n int64) { c.MaxTimers = int(n) }, 0, 1000},
		"lua.max_waiting":       {func(c *lua.Config, n int64) { c.MaxWaiting = int(n) }, 1, 1_000_000},
		"lua.quarantine_after":  {func(c *lua.Config, n int64) { c.QuarantineAfter = int(n) }, 0, 1_000_000},
		"lua.http.max_response": {func(c *lua.Config, n int64) { c.HTTP.MaxResponse = settings.Size(n) }, 0, 1 << 30},
		"lua.timeout":           {func(c *lua.Config, n int64) { c.Timeout, c.TotalTimeout = settings.Duration(n), 0 }, int64(time.Millisecond), int64(time.Hour)},
		"lua.load_timeout":      {func(c *lua.Config, n int64) { c.LoadTimeout = settings.Duration(n) }, int64(10 * time.Millisecond), int64(time.Minute)},
		"lua.http.timeout":      {func(c *lua.Config, n int64) { c.HTTP.Timeout = settings.Duration(n) }, 1, 1 << 62},
		"lua.total_timeout":     {func(c *lua.Config, n int64) { c.TotalTimeout = settings.Duration(n) }, int64(100 * time.Millisecond), 1 << 62},
	} {
		for n, fine := range map[int64]bool{c.least: true, c.least - 1: false, c.most: true, c.most + 1: false} {
			if n > 1<<62 {
				continue
			}
			config := lua.DefaultConfig()
			c.set(&config, n)
			var found complaints
			config.Check(&found)
			if fine != (len(found) == 0) || !fine && !strings.HasPrefix(found[0], name+" is ") {
				t.Errorf("%s %d: got %q, fine: %v", name, n, found, fine)
			}
		}
	}
	config := lua.DefaultConfig()
	config.TotalTimeout = 0
	var found complaints
	if config.Check(&found); len(found) > 0 {
		t.Errorf("without a total time-out: %q", found)
	}
}

// TestConfigOfNames: variables, secrets, and what scripts may reach.
func TestConfigOfNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set  func(c *lua.Config)
		want string
	}{
		{func(c *lua.Config) { c.Env = []string{"A", "B_1"} }, ""},
		{func(c *lua.Config) { c.Env = []string{"A=1"} }, `lua.env has a value for "A", expected names only`},
		{func(c *lua.Config) { c.Secrets = map[string]string{"A": "a=b"} }, ""},
		{func(c *lua.Config) { c.Secrets = map[string]string{"": "a"} }, `lua.secrets has the name ""`},
		{func(c *lua.Config) { c.Secrets = map[string]string{"A=B": "a"} }, `lua.secrets has the name "A=B"`},
		{func(c *lua.Config) { c.Secrets = map[string]string{"A\x00": "a"} }, `lua.secrets has the name "A\x00"`},
		{func(c *lua.Config) { c.HTTP.Deny = []string{"10.0.0.0/8", "::1", "192.0.2.7"} }, ""},
		{func(c *lua.Config) { c.HTTP.Deny = []string{"10.0.0.0/8", "a.example"} }, `network "a.example" is not one`},
	} {
		config := lua.DefaultConfig()
		c.set(&config)
		var found complaints
		config.Check(&found)
		if got := strings.Join(found, "\n"); (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	for entry, fine := range map[string]bool{
		"10.0.0.0/8": true, "127.0.0.1": true, "127.0.0.1:9000": true, "::1": true, "[::1]:9000": true, "fd00::/8": true, "localhost": true, "localhost:9000": true, "a.example.": true, "A.Example:1": true, "my_host-1:65535": true,
		"127.0.0.1:0": false, "127.0.0.1:65536": false, "127.0.0.1:http": false, "localhost:": false, "[::1": false, "[::1]": false, "::1]:1": false, "[127.0.0.1]:1": false, "[localhost]:1": false, "10.0.0.0/33": false,
		"": false, "127.1": false, "0x7f000001": false, "0x7f.1:80": false, "a/b": false, "a b": false, "*.example": false, "1234": false, "é.example": false,
		strings.Repeat("a", 253): true, strings.Repeat("a", 254): false,
	} {
		config := lua.DefaultConfig()
		config.HTTP.Allow = []string{entry}
		var found complaints
		if config.Check(&found); (len(found) == 0) != fine {
			t.Errorf("%q may be reached: %v, want %v", entry, found, fine)
		}
	}
}
