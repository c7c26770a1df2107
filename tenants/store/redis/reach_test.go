package redis_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/test/port"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestReaches: it is known where the store is, by address and by name, before there is
// anything, with all servers that were named, and no longer once there is another one.
func TestReaches(t *testing.T) {
	t.Parallel()
	number := func(address string) string { _, number, _ := net.SplitHostPort(address); return number }
	absent, named, other := port.Reserve(t), port.Reserve(t), port.Reserve(t)
	here := liar(t, func(words []string) string {
		if words[0] == "HELLO" {
			return hello
		}
		return passing
	})
	var shared redis.Shared
	defer shared.Close()
	local := func(addr netip.Addr) bool { return addr.IsLoopback() || addr.IsUnspecified() }
	reaches := func(address string) bool { return shared.Reaches(netip.MustParseAddrPort(address), local) }
	if reaches(here) {
		t.Error("there is no store, and it is reached")
	}
	config := configOf(here)
	config.Address = []string{"192.0.2.1:" + number(absent), "unix:/missing", here, "localhost:" + number(named)}
	for what, use := range map[string]func(){"announced": func() { shared.Announce(config) }, "used": func() { shared.Use(config, 0) }} {
		use()
		for address, want := range map[string]bool{
			here: true, "[::1]:" + number(here): true, "[::ffff:127.0.0.1]:" + number(here): true, "0.0.0.0:" + number(here): true, // all of this machine
			"192.0.2.1:" + number(absent): true, "[::ffff:192.0.2.1]:" + number(absent): true,
			"127.0.0.1:" + number(absent): false, "192.0.2.2:" + number(here): false, other: false,
		} {
			if got := reaches(address); got != want {
				t.Errorf("%s: %s: %v", what, address, got)
			}
		}
	}
	until.True(t, "a name that nobody has connected to is known", func() bool { return reaches(named) })
	shared.Announce(nil)
	shared.Use(configOf(other), 0)
	if reaches(here) || reaches(named) || !reaches(other) {
		t.Error("the store of before is still known, or that of now isn't")
	}
	shared.Use(nil, 0)
	if reaches(other) {
		t.Error("there is no store any more, and it is reached")
	}
}

// TestReachesMasters that only Sentinels know, and those themselves.
func TestReachesMasters(t *testing.T) {
	t.Parallel()
	master := port.Reserve(t)
	host, number, _ := net.SplitHostPort(master)
	sentinel := liar(t, func(words []string) string {
		switch words[0] {
		case "HELLO":
			return hello
		case "SENTINEL":
			return "*2\r\n+" + host + "\r\n+" + number + "\r\n"
		}
		return "+OK\r\n"
	})
	config := configOf(sentinel)
	config.Sentinel = &redis.SentinelConfig{Master: "m"}
	var shared redis.Shared
	defer shared.Close()
	shared.Use(config, time.Minute)
	for _, address := range []string{sentinel, master} {
		if !shared.Reaches(netip.MustParseAddrPort(address), func(netip.Addr) bool { return false }) {
			t.Errorf("%s is not known", address)
		}
	}
}
