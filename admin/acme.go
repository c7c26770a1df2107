package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
)

// orderedView is a name for which certificates are ordered. All keys are always
// present; times are null where there are none.
type orderedView struct {
	Name     string     `json:"name"`
	Tenant   string     `json:"tenant"`
	State    acme.State `json:"state"`
	OnDemand bool       `json:"on_demand"`
	NotAfter *time.Time `json:"not_after"`
	Days     *float64   `json:"days_left"`
	Renewal  *time.Time `json:"renewal"`
	Next     *time.Time `json:"next"`     // when it is looked at again
	Failures int        `json:"failures"` // in a row
	Error    string     `json:"error"`    // of the last try, or what is waited for
	ErrorAt  *time.Time `json:"error_at"`
}

func describeOrdered(list []acme.Status, now time.Time) []orderedView {
	views := make([]orderedView, 0, len(list))
	for _, s := range list {
		v := orderedView{
			Name: s.Name, Tenant: s.Tenant, State: s.State, OnDemand: s.OnDemand,
			NotAfter: orNull(s.NotAfter), Renewal: orNull(s.Renewal), Next: orNull(s.Next),
			Failures: s.Failures, Error: s.Error, ErrorAt: orNull(s.ErrorAt),
		}
		if v.NotAfter != nil {
			days := daysLeft(s.NotAfter, now)
			v.Days = &days
		}
		views = append(views, v)
	}
	return views
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// ordered are figures of what is ordered.
func (m *scrape) ordered(manager *acme.Manager) {
	if !manager.Active() {
		return
	}
	list := manager.Status()
	states := map[acme.State]int64{}
	var certified, failing []acme.Status
	for _, s := range list {
		states[s.State]++
		if !s.NotAfter.IsZero() {
			certified = append(certified, s)
		}
		if s.Failures > 0 {
			failing = append(failing, s)
		}
	}
	m.family("keystone_acme_names", gauge, "Names for which certificates are ordered.")
	for _, state := range []acme.State{acme.Waiting, acme.Ordering, acme.Valid, acme.Renewing, acme.Failing, acme.Covered} {
		m.int(states[state], label("state", string(state)))
	}
	now := time.Now()
	slices.SortStableFunc(certified, func(a, b acme.Status) int { return a.NotAfter.Compare(b.NotAfter) })
	m.family("keystone_acme_days_left", gauge, "Days until the certificate of a name ends, of the 100 that end first.")
	for _, s := range certified[:min(len(certified), maxCertificateSeries)] {
		m.float(daysLeft(s.NotAfter, now), label("name", s.Name), label("tenant", s.Tenant))
	}
	slices.SortStableFunc(failing, func(a, b acme.Status) int { return cmp.Compare(b.Failures, a.Failures) })
	failing = failing[:min(len(failing), maxCertificateSeries)]
	m.family("keystone_acme_failures", gauge, "Tries in a row that have failed for a name, of the 100 with most.")
	for _, s := range failing {
		m.int(int64(s.Failures), label("name", s.Name), label("tenant", s.Tenant))
	}
	m.family("keystone_acme_next_try_timestamp_seconds", gauge, "When such a name is tried again.")
	for _, s := range failing {
		m.float(float64(s.Next.UnixMilli())/1000, label("name", s.Name), label("tenant", s.Tenant))
	}
	c := manager.Counters()
	m.family("keystone_acme_orders_total", counter, "Orders that were placed, one for each challenge that was tried.")
	m.uint(c.Orders)
	m.family("keystone_acme_tries_total", counter, "Tries to get a certificate, by their result.")
	m.uint(c.Obtained, label("result", "obtained"))
	m.uint(c.Failed-c.Limited, label("result", "failed"))
	m.uint(c.Limited, label("result", "limited"))
	m.uint(c.OverBudget, label("result", "over_budget"))
	m.family("keystone_acme_asks_total", counter, "Names on demand, by what was answered to the question whether they may have a certificate.")
	m.uint(c.Allowed, label("answer", "yes"))
	m.uint(c.Refused, label("answer", "no"))
	m.uint(c.Unanswered, label("answer", "none"))
	m.uint(c.TurnedAway, label("answer", "not_asked"))
}
