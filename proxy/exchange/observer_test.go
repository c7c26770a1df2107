package exchange_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/ip"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// notes are what an observer was told, in order.
type notes []string

func (n *notes) Begin(*exchange.Record) { *n = append(*n, "begin") }

func (n *notes) Stage(_ *exchange.Record, s exchange.Stage) {
	*n = append(*n, fmt.Sprint("stage ", s))
}

func (n *notes) Attempt(r *exchange.Record, t *upstream.Target, failure error) {
	*n = append(*n, fmt.Sprintf("attempt %s for %s, failed %v", t.Name(), r.Tenant.Name, failure != nil))
}

func (n *notes) Policy(r *exchange.Record, s policy.Step) {
	*n = append(*n, fmt.Sprintf("%s's policies[%d], %s, has %s: %s", r.Tenant.Name, s.Index, s.Name, s.Decision, s.Why))
}

func (n *notes) End(r *exchange.Record) {
	*n = append(*n, fmt.Sprintf("end %d %q, %d out, %d attempts", r.Status, r.Code, r.BytesOut, r.Attempts))
}

// atEnd is an observer that wants to know nothing else.
type atEnd struct{}

func (atEnd) End(*exchange.Record) {}

// TestObserver: one place is told of all that happens, in the order in which it
// does.
func TestObserver(t *testing.T) {
	t.Parallel()
	answers := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }
	target := httptest.NewServer(http.HandlerFunc(answers))
	t.Cleanup(target.Close)
	for name, c := range map[string]struct {
		head    message.Request
		refused error
		want    notes
	}{
		"forwarded": {head: exchangetest.Request("GET", "a.example.com", "/"), want: notes{
			"begin", "stage 1", "stage 2", "stage 3", "stage 5", "attempt t1 for a, failed false", "stage 6", `end 200 "", 5 out, 1 attempts`,
		}},
		"no tenant": {head: exchangetest.Request("GET", "b.example.com", "/"), want: notes{
			"begin", "stage 1", "stage 2", `end 404 "no_tenant", 112 out, 0 attempts`,
		}},
		"refused": {refused: message.BadHost, want: notes{"begin", "stage 1", `end 400 "bad_host", 118 out, 0 attempts`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told notes
			plane := newPlane(t, &told, target.URL)
			plane.Serve(&exchangetest.Stream{Head: c.head, Refused: c.refused})
			if !slices.Equal(told, c.want) {
				t.Errorf("told %q, want %q", told, c.want)
			}
			if n := plane.InFlight(); n != 0 {
				t.Errorf("%d requests are still under way", n)
			}
		})
	}
}

// undecided is a policy that fails.
type undecided struct{ policy.Section }

func (undecided) New(policy.Deps) (policy.Policy, error) { return undecided{}, nil }

func (undecided) Judge(*policy.Request) (*policy.Answer, error) {
	return nil, errors.New("nobody knows")
}

// TestObserverOfPolicies: whoever wants to is told what each policy has made of a
// request, and why.
func TestObserverOfPolicies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last policy.Section
		want notes
	}{
		"refused": {&ip.Config{Deny: []string{"127.0.0.1"}}, notes{"a's policies[1], ip, has answered: client 127.0.0.1 is in 127.0.0.1/32 of deny"}},
		"failed":  {undecided{}, notes{"a's policies[1], ip, has failed: nobody knows"}},
		"passed":  {&ip.Config{Deny: []string{"10.0.0.1"}}, notes{"a's policies[1], ip, has passed: client 127.0.0.1 is not in deny"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told notes
			plane := changedPlane(t, &told, func(_ *exchange.Generation, tenant *exchange.Tenant) {
				list := []policy.Named{{Name: "ip", Section: &ip.Config{Allow: []string{"127.0.0.0/8"}}}, {Name: "ip", Section: c.last}}
				var err error
				if tenant.Policies, err = policy.Build(list, policy.Deps{}, tenant.Stats.PolicyCounter); err != nil {
					t.Fatal(err)
				}
			})
			plane.Serve(&exchangetest.Stream{Head: exchangetest.Request("GET", "a.example.com", "/")})
			want := append(notes{"a's policies[0], ip, has passed: client 127.0.0.1 is in 127.0.0.0/8 of allow"}, c.want...)
			told = slices.DeleteFunc(told, func(note string) bool { return !strings.Contains(note, "policies") })
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
		})
	}
}

// TestObserverOfFailures: each attempt is told of, whatever became of it.
func TestObserverOfFailures(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	var told notes
	newPlane(t, &told, closed.URL).Serve(&exchangetest.Stream{Head: exchangetest.Request("GET", "a.example.com", "/")})
	want := notes{"begin", "stage 1", "stage 2", "stage 3", "stage 5", "attempt t1 for a, failed true"}
	if len(told) < len(want) || !slices.Equal(told[:len(want)], want) {
		t.Errorf("told %q, want %q first", told, want)
	}
}
