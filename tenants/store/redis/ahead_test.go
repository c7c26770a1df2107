package redis_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// TestAdvanceMeansTheScript: what the server takes beyond a request is what
// store.Quota.Advance takes, which simulations go by.
func TestAdvanceMeansTheScript(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	at := time.Unix(1_800_000_000, 0)
	server.SetTime(at)
	config := configOf(server.Addr())
	config.LocalShare = 0.03
	limits := open(t, config).Tenant("a")
	random := rand.New(rand.NewPCG(3, 4))
	took := int64(0)
	for i := range 40 {
		key, arrival := []byte{byte(i)}, int64(0)
		rate, burst := float64(1+random.IntN(2000)), float64(100+random.IntN(2000))
		for cost := range 10 { // another price is another place of what is known beforehand, and the same bucket
			q, err := store.NewQuota(rate, 1, burst, float64(cost))
			if err != nil {
				t.Fatal(err)
			}
			var want store.Verdict
			var more int64
			arrival, want, more = q.Advance(arrival, at.UnixNano(), config.LocalShare)
			took += more
			if got, err := limits.Take(t.Context(), "limit", key, q); got != want || err != nil {
				t.Fatalf("%v/s, burst %v, cost %d: got %+v %v, want %+v", rate, burst, cost, got, err, want)
			}
			step := time.Duration(random.IntN(1000)) * time.Microsecond
			at = at.Add(step)
			server.SetTime(at)
			server.FastForward(step)
		}
	}
	if took < 200 {
		t.Errorf("only %d were taken beyond", took)
	}
}
