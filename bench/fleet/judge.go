package fleet

import (
	"cmp"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// judge counts what has passed, and what one limit would have let pass, which is asked
// about every request at the time at which a gateway was.
func (r *Result) judge(all []decision, quota store.Quota, keys int) {
	slices.SortFunc(all, func(a, b decision) int { return cmp.Compare(a.at, b.at) })
	arrivals := make([]int64, keys)
	for i := range all {
		d := &all[i]
		var v store.Verdict
		if arrivals[d.key], v, _ = quota.Advance(arrivals[d.key], int64(d.at), 0); v.Allowed {
			r.Exact++
		}
		if d.passed {
			r.Passed++
		}
		r.Requests++
	}
}

// Error is how far what has passed is from what one limit would have let pass, as a share
// of that.
func (r *Result) Error() float64 {
	if r.Exact == 0 {
		return 0
	}
	return float64(r.Passed-r.Exact) / float64(r.Exact)
}
