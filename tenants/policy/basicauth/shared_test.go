package basicauth_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// gateways are chains with a user alice, whose password is "right".
func gateways(t *testing.T, n int, more string) (*policytest.Shared, []*policy.Chain) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	shared := policytest.NewShared()
	var chains []*policy.Chain
	for range n {
		deps := policy.Deps{Shared: shared, WillShare: true, Store: store.NewMemory(1<<20, time.Now)}
		chains = append(chains, policytest.Build(t, "[{basic_auth: {failures: 3, users: {alice: '"+string(hash)+"'}"+more+"}}]", deps))
	}
	return shared, chains
}

func login(chain *policy.Chain, password string) string {
	sent := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
	o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "+sent, "192.0.2.1"))
	if o.Code == "" {
		return "passed"
	}
	return o.Code
}

// TestGatewaysCountFailuresTogether: who guesses at all of them has no more guesses than
// at one.
func TestGatewaysCountFailuresTogether(t *testing.T) {
	t.Parallel()
	shared, chains := gateways(t, 3, "")
	for i, want := range []string{"basic_auth_denied", "basic_auth_denied", "basic_auth_denied", "basic_auth_limited", "basic_auth_limited", "basic_auth_limited"} {
		if got := login(chains[i%3], strings.Repeat("x", i+1)); got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
	if got := login(chains[0], "right"); got != "basic_auth_limited" {
		t.Errorf("the right password, not known yet: %s", got)
	}
	_, alone := gateways(t, 1, ", store: local")
	if got := login(alone[0], "right"); got != "passed" {
		t.Errorf("with store: local: %s", got)
	}
	asked := shared.Asked()
	_ = login(alone[0], "right")
	if shared.Asked() != asked {
		t.Error("a store was asked for what is known")
	}
}

// TestFailuresWithoutTheStore: on_store_error says what holds; what is known to be right
// passes anyway.
func TestFailuresWithoutTheStore(t *testing.T) {
	t.Parallel()
	for onError, want := range map[string]string{
		"local":  "basic_auth_denied basic_auth_denied basic_auth_denied basic_auth_limited passed",
		"open":   "basic_auth_denied basic_auth_denied basic_auth_denied basic_auth_denied passed",
		"closed": "store_unavailable store_unavailable store_unavailable store_unavailable passed",
	} {
		shared, chains := gateways(t, 1, ", on_store_error: "+onError)
		if got := login(chains[0], "right"); got != "passed" {
			t.Fatalf("%s: got %s", onError, got)
		}
		shared.Fail(errors.New("it is away"))
		var got []string
		for _, password := range []string{"a", "b", "c", "d", "right"} {
			got = append(got, login(chains[0], password))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: got %s, want %s", onError, text, want)
		}
	}
}
