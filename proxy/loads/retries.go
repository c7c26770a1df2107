package loads

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Retries say when scripts are loaded again that could not be loaded for want of
// time or memory. What is wrong with them otherwise stays wrong until somebody
// changes it, and then reloads. Their methods take turns.
type Retries struct {
	list  map[string]*retry // by tenant
	timer *time.Timer
}

// retry is that of one tenant's scripts.
type retry struct {
	of    *Load // that failed last
	tries int
	at    time.Time
	begun *Load // the retry itself; nil: it is not yet time
}

// The pause before the first retry; each is twice as long as the one before, up
// to longestRetry.
const (
	firstRetry   = time.Second
	longestRetry = time.Minute
	// mostRetries are under way at once: those that were refused memory together
	// would be so again.
	mostRetries = 4
)

// Plan decides when the loads that have failed, by tenant, are tried again, and has
// again called then; nil is never.
func (r *Retries) Plan(failed map[string]*Load, again func()) {
	if r.timer != nil {
		r.timer.Stop()
	}
	next, first := map[string]*retry{}, time.Time{}
	for name, l := range failed {
		planned := r.planned(r.list[name], l)
		if planned == nil {
			continue
		}
		if next[name] = planned; planned.begun == nil && l.HasEnded() && (first.IsZero() || planned.at.Before(first)) {
			first = planned.at
		}
	}
	r.list = next
	if !first.IsZero() && r.underWay() < mostRetries && again != nil {
		r.timer = time.AfterFunc(time.Until(first), again)
	}
}

// planned is the retry of a load, of which there may be one already; nil is none.
func (r *Retries) planned(have *retry, l *Load) *retry {
	switch {
	case !l.HasEnded():
		return have // l is the retry, if there is one
	case !l.passing():
		return nil
	case have != nil && have.of == l:
		return have
	}
	tries := 0
	if have != nil {
		tries = have.tries
	}
	pause := min(firstRetry<<min(tries, 10), longestRetry)
	return &retry{of: l, tries: tries + 1, at: time.Now().Add(pause)}
}

// underWay counts what has been begun.
func (r *Retries) underWay() (n int) {
	for _, one := range r.list {
		if one.begun != nil {
			n++
		}
	}
	return n
}

// Due returns the tenants whose scripts are to be loaded again now. Who has failed
// less often goes first: so those that fail again and again, however many they are,
// don't keep the others waiting.
func (r *Retries) Due() []string {
	due := slices.DeleteFunc(slices.Sorted(maps.Keys(r.list)), func(name string) bool {
		one := r.list[name]
		return one.begun != nil || time.Until(one.at) > 0
	})
	slices.SortStableFunc(due, func(a, b string) int {
		x, y := r.list[a], r.list[b]
		return cmp.Or(cmp.Compare(x.tries, y.tries), x.at.Compare(y.at))
	})
	return due[:min(len(due), max(0, mostRetries-r.underWay()))]
}

// Begun says that a tenant that is due is loaded again by l.
func (r *Retries) Begun(l *Load) { r.list[l.Options.Tenant].begun = l }

// Know reports whether a load is the one that is tried again, or that retry itself.
func (r *Retries) Know(l *Load) bool {
	one := r.list[l.Options.Tenant]
	return one != nil && (one.begun == l || one.of == l)
}
