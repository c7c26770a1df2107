package fleet_test

import (
	"math"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/fleet"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
)

// TestRun: what gateways let pass together is counted, and held against what one limit
// would have; each by itself lets more pass.
func TestRun(t *testing.T) {
	t.Parallel()
	o := fleet.Options{Address: redistest.Start(t).Address, Gateways: 4, Keys: 10, Offered: 1000, Rate: 10, Burst: 10, Duration: time.Second}
	together, err := fleet.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if together.Requests < 900 || together.Asked == 0 || together.Ahead == 0 || together.Latency.Count() != together.Requests || together.Exact < 100 {
		t.Errorf("got %d requests, %d asked, %d decided ahead, %d exact", together.Requests, together.Asked, together.Ahead, together.Exact)
	}
	if together.Failed == 0 && math.Abs(together.Error()) > 0.1 {
		t.Errorf("%d have passed, want about %d", together.Passed, together.Exact)
	}
	o.Address = ""
	alone, err := fleet.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if alone.Error() < 0.5 || alone.Asked != 0 {
		t.Errorf("by themselves they are only %v off, asked %d", alone.Error(), alone.Asked)
	}
}

// TestOptions that make no sense are refused.
func TestOptions(t *testing.T) {
	t.Parallel()
	good := fleet.Options{Gateways: 1, Keys: 1, Offered: 1, Rate: 1, Burst: 1, Duration: time.Millisecond}
	for name, change := range map[string]func(*fleet.Options){
		"no gateways": func(o *fleet.Options) { o.Gateways = 0 },
		"no keys":     func(o *fleet.Options) { o.Keys = 0 },
		"many keys":   func(o *fleet.Options) { o.Keys = 1 << 20 },
		"nothing":     func(o *fleet.Options) { o.Offered = 0 },
		"no rate":     func(o *fleet.Options) { o.Rate = 0 },
		"no burst":    func(o *fleet.Options) { o.Burst = -1 },
		"no store":    func(o *fleet.Options) { o.Address = "127.0.0.1:1" },
	} {
		o := good
		change(&o)
		if _, err := fleet.Run(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
