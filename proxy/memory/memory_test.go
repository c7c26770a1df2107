package memory_test

import (
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// TestLimits: what an account and the process may hold, and who is refused.
func TestLimits(t *testing.T) {
	t.Parallel()
	const ceiling = 64 << 10
	for name, test := range map[string]struct {
		limit, others int64 // of the account, and what others hold
		ask           int64
		shedding      bool
		want          bool
	}{
		"no limit":                        {ask: ceiling, want: true},
		"within the limit":                {limit: 100, ask: 100, want: true},
		"beyond the limit":                {limit: 100, ask: 101},
		"beyond the ceiling":              {ask: ceiling + 1},
		"light, at the ceiling":           {others: ceiling, ask: ceiling / memory.LightShare, want: true},
		"no longer light, at the ceiling": {others: ceiling, ask: ceiling/memory.LightShare + 1},
		"light, and the reserve is gone":  {others: ceiling + ceiling/4, ask: 1},
		"shedding":                        {shedding: true, ask: 1},
	} {
		var process memory.Process
		process.SetCeiling(ceiling)
		var others, account memory.Account
		others.Open(&process)
		account.Open(&process)
		others.Hold(test.others)
		account.SetLimit(test.limit)
		account.SetShedding(test.shedding)
		var charge memory.Charge
		charge.Begin(&account)
		if got := charge.Acquire(test.ask); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
		held := int64(0)
		if test.want {
			held = test.ask
		}
		if account.Used() != held || process.Used() != held+test.others || charge.Held() != held || (account.Refused() == 1) == test.want {
			t.Errorf("%s: the account holds %d, the process %d, the charge %d; refused %d times",
				name, account.Used(), process.Used(), charge.Held(), account.Refused())
		}
		charge.End(&account, 0)
		if account.Used() != 0 || process.Used() != test.others {
			t.Errorf("%s: after the end %d and %d", name, account.Used(), process.Used())
		}
	}
}

// TestMove: what a charge holds goes with it, or stays where it is.
func TestMove(t *testing.T) {
	t.Parallel()
	var process memory.Process
	var first, second memory.Account
	first.Open(&process)
	second.Open(&process)
	var charge memory.Charge
	charge.Begin(&first)
	charge.Acquire(10)
	second.SetLimit(14)
	if charge.Move(&second, 5) || first.Used() != 10 || second.Used() != 0 || process.Used() != 10 {
		t.Errorf("refused: %d, %d, %d", first.Used(), second.Used(), process.Used())
	}
	if !charge.Move(&second, 4) || first.Used() != 0 || second.Used() != 14 || process.Used() != 14 {
		t.Errorf("moved: %d, %d, %d", first.Used(), second.Used(), process.Used())
	}
	charge.End(&first, 3)
	if first.Used() != 3 || second.Used() != 0 || process.Used() != 3 || charge.Held() != 3 {
		t.Errorf("ended: %d, %d, %d", first.Used(), second.Used(), process.Used())
	}
}

// TestGrow: a buffer grows as it is filled, never beyond its limit, and what it
// is charged is what it has.
func TestGrow(t *testing.T) {
	t.Parallel()
	for _, most := range []int64{1, 4095, 4096, 4097, 100_000, 1 << 20} {
		var process memory.Process
		var account memory.Account
		account.Open(&process)
		var charge memory.Charge
		charge.Begin(&account)
		var b []byte
		for int64(len(b)) < most {
			if len(b) == cap(b) {
				b = charge.Grow(b, most)
			}
			b = append(b, byte(len(b)))
			if int64(cap(b)) > max(4096, 2*int64(len(b))) || int64(cap(b)) > most || account.Used() != int64(cap(b)) {
				t.Fatalf("%d bytes of %d: capacity %d, charged %d", len(b), most, cap(b), account.Used())
			}
		}
		for i := range b {
			if b[i] != byte(i) {
				t.Fatalf("byte %d of %d is %d", i, most, b[i])
			}
		}
	}
}

// TestConcurrentCharges: whatever happens at once, in the end nothing is held.
func TestConcurrentCharges(t *testing.T) {
	t.Parallel()
	var process memory.Process
	process.SetCeiling(3000)
	var first, second memory.Account
	first.Open(&process)
	second.Open(&process)
	second.SetLimit(2000)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			var charge memory.Charge
			charge.Begin(&first)
			for i := range 2000 {
				charge.Acquire(int64(i % 7))
				if charge.Move(&second, 300) && charge.Acquire(500) {
					charge.Release(500)
				}
				charge.End(&first, int64(i%3))
			}
			charge.End(&first, 0)
		})
	}
	wait.Wait()
	if first.Used() != 0 || second.Used() != 0 || process.Used() != 0 {
		t.Errorf("%d, %d and %d are left", first.Used(), second.Used(), process.Used())
	}
}
