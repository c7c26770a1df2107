package redis_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
)

// TestTryAllocates0: what was taken beforehand is used without memory.
func TestTryAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	server := redistest.Start(t)
	config := configOf(server.Address)
	config.LocalShare = 0.1
	limits, q, key := open(t, config).Tenant("a"), quota(t, 1, 1, 1_000_000), []byte("key")
	if _, err := limits.Take(t.Context(), "limit", key, q); err != nil {
		t.Fatal(err)
	}
	used := 0
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := limits.Try("limit", key, q); ok {
			used++
		}
	}); n > 0 || used != 1001 {
		t.Errorf("%v allocations for each of %d", n, used)
	}
}
