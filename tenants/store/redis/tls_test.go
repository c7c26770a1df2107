package redis_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// reports are what is wrong with a section.
type reports struct{ errs []error }

func (r *reports) Errorf(_ any, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...)) //nolint:err113 // as it was reported
}

// load reads the files of a section.
func load(t *testing.T, c *redis.Config) *redis.Config {
	t.Helper()
	var r reports
	c.Check(&r)
	c.Load(func(path string, _ int64) ([]byte, error) { return os.ReadFile(path) }, &r)
	if err := errors.Join(r.errs...); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTLS: a server that speaks TLS alone, with a user of its ACL, is used as any other
// by who trusts its authority and shows a certificate; nobody else gets as far as that,
// and each is told why.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := redistest.StartTLS(t, "--user", "gateway", "on", ">secret", "~keystone:*", "+evalsha", "+eval", "+get", "+set", "+time", "+hello", "+ping", "+client")
	good := func() *redis.Config {
		c := configOf(server.Address)
		c.Username, c.Password = "gateway", "secret"
		c.TLS = redis.TLSConfig{Enabled: true, CAFile: server.CAFile, CertFile: server.CertFile, KeyFile: server.KeyFile}
		return c
	}
	limits, q := open(t, load(t, good())).Tenant("a"), quota(t, 1, 3600, 5)
	for left := int64(4); left >= 0; left-- {
		if v, err := limits.Take(t.Context(), "limit", nil, q); err != nil || v.Remaining != left {
			t.Errorf("%+v %v, want %d left", v, err, left)
		}
	}
	for name, c := range map[string]struct {
		change func(*redis.Config)
		why    string
	}{
		"another name":                    {func(c *redis.Config) { c.TLS.ServerName = "redis.example.com" }, ""},
		"a wrong name":                    {func(c *redis.Config) { c.TLS.ServerName = "other.example.com" }, "other.example.com"},
		"an authority that isn't trusted": {func(c *redis.Config) { c.TLS.CAFile = server.OtherCAFile }, "an authority that isn't known"},
		"the system's authorities":        {func(c *redis.Config) { c.TLS.CAFile = "" }, "an authority that isn't known"},
		"no certificate":                  {func(c *redis.Config) { c.TLS.CertFile, c.TLS.KeyFile = "", "" }, "the other side"},
		"without TLS":                     {func(c *redis.Config) { c.TLS = redis.TLSConfig{} }, "connection"},
		"a wrong password":                {func(c *redis.Config) { c.Password = "guessed" }, "WRONGPASS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good()
			c.change(config)
			shared := &redis.Shared{}
			shared.Use(load(t, config), time.Minute)
			defer shared.Close()
			status, _ := shared.Status()
			if status.Here != (c.why == "") {
				t.Fatalf("%+v", status)
			}
			if c.why != "" && (!strings.Contains(status.Err.Error(), c.why) || strings.Contains(status.Err.Error(), "guessed")) {
				t.Errorf("it says %q, want %q", status.Err, c.why)
			}
		})
	}
}

// TestTLSWithAPlainServer doesn't work, and doesn't hang.
func TestTLSWithAPlainServer(t *testing.T) {
	t.Parallel()
	config := configOf(redistest.Start(t).Address)
	config.TLS.Enabled = true
	shared := &redis.Shared{}
	shared.Use(load(t, config), time.Minute)
	defer shared.Close()
	if status, _ := shared.Status(); status.Here || status.Err == nil {
		t.Errorf("%+v", status)
	}
}

// TestTLSServerIsAway, and comes back.
func TestTLSServerIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.StartTLS(t)
	config := configOf(server.Address)
	config.TLS = redis.TLSConfig{Enabled: true, CAFile: server.CAFile, CertFile: server.CertFile, KeyFile: server.KeyFile}
	shared := open(t, load(t, config))
	here := func() bool { status, _ := shared.Status(); return status.Here }
	server.Kill()
	until.True(t, "it is away", func() bool { return !here() })
	server.Restart()
	until.True(t, "it is back", here)
}
