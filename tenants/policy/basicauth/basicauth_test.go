package basicauth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// waiter waits as a request does whose client stays.
type waiter struct{}

func (waiter) Wait(f func(ctx context.Context) error) error { return f(context.Background()) }
func (waiter) ReadBody(int64) ([]byte, error)               { return nil, nil }

// counted is a hash that counts how often it is compared.
type counted struct {
	hash
	n *atomic.Int64
}

func (c counted) matches(password []byte) bool {
	c.n.Add(1)
	return c.hash.matches(password)
}

func newGuard(t testing.TB, users ...string) (*guard, *atomic.Int64) {
	t.Helper()
	c := &Config{Users: map[string]string{}}
	c.SetDefaults()
	c.Failures = 1000
	for _, u := range users {
		hash, err := bcrypt.GenerateFromPassword([]byte("of "+u), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		c.Users[u] = string(hash)
	}
	p, err := c.New(policy.Deps{Store: store.NewMemory(1<<20, time.Now)})
	if err != nil {
		t.Fatal(err)
	}
	g, n := p.(*guard), new(atomic.Int64)
	for _, u := range g.list {
		u.hash = counted{u.hash, n}
	}
	return g, n
}

// judge asks for a value of Authorization.
func judge(t testing.TB, g *guard, r *policy.Request, value string) (status int) {
	t.Helper()
	r.Reset()
	r.Header, r.Waiter, r.Client = &message.Header{}, waiter{}, netip.MustParseAddr("192.0.2.1")
	r.Header.Add([]byte("Authorization"), []byte(value))
	answer, err := g.Judge(r)
	switch {
	case err != nil:
		t.Fatal(err)
	case answer != nil:
		return answer.Refusal.Status
	}
	return 200
}

func value(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestComparesOnce: a name that nobody has costs the comparison that one costs whom
// there is; a password that is known to be right costs none, and what is known of one
// user isn't of another.
func TestComparesOnce(t *testing.T) {
	t.Parallel()
	g, n := newGuard(t, "alice", "bob")
	var r policy.Request
	for i, c := range []struct {
		name, password string
		status         int
		compared       int64
	}{
		{"alice", "of alice", 200, 1},
		{"alice", "of alice", 200, 0},
		{"alice", "wrong", 401, 1},
		{"nobody", "wrong", 401, 1},
		{"nobody", "of alice", 401, 1}, // one of them may be right
		{"nobody", "of bob", 401, 1},
		{"nobody", "of alice", 401, 1}, // and isn't remembered
		{"bob", "of alice", 401, 1},
		{"bob", "of bob", 200, 1},
		{"bob", "of bob", 200, 0},
		{"", "of bob", 401, 1},
	} {
		before := n.Load()
		if got := judge(t, g, &r, value(c.name, c.password)); got != c.status || n.Load()-before != c.compared {
			t.Errorf("%d: %s, %s: got %d after %d comparisons, want %d after %d", i, c.name, c.password, got, n.Load()-before, c.status, c.compared)
		}
	}
	if g.list[0].digest == g.list[1].digest {
		t.Error("two hashes have one digest")
	}
}

// TestVerifierIsBounded: requests with the same password share one comparison, so many
// different ones wait, and the rest is refused at once; one that gives up leaves the
// others theirs.
func TestVerifierIsBounded(t *testing.T) {
	t.Parallel()
	v := newVerifier()
	key := func(i int) []byte { return v.known.AppendKey(nil, fmt.Append(nil, i)) }
	begun, end := make(chan struct{}, maxWaiting), make(chan struct{})
	results := make(chan string, 2*maxWaiting)
	ask := func(ctx context.Context, i int) {
		good, first, err := v.verify(ctx, key(i), func(ctx context.Context) (bool, error) {
			begun <- struct{}{}
			select {
			case <-end:
				return true, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		})
		results <- fmt.Sprint(good, first, err)
	}
	for i := range maxWaiting - 1 {
		go ask(context.Background(), i)
	}
	leaving, leave := context.WithCancel(context.Background())
	go ask(leaving, maxWaiting)
	for range maxWaiting {
		<-begun
	}
	if good, _, err := v.verify(context.Background(), key(-1), nil); good || err != errBusy {
		t.Errorf("one more: got %v %v", good, err)
	}
	second := make(chan string)
	go func() {
		good, first, err := v.verify(context.Background(), key(maxWaiting), func(context.Context) (bool, error) { return true, nil })
		second <- fmt.Sprint(good, first, err)
	}()
	leave()
	if got := <-results; got != "false true context canceled" {
		t.Errorf("who leaves: got %s", got)
	}
	if got := <-second; got != "true true <nil>" {
		t.Errorf("who has waited for that one: got %s", got)
	}
	close(end)
	for range maxWaiting - 1 {
		if got := <-results; got != "true true <nil>" {
			t.Errorf("got %s", got)
		}
	}
	if v.known.Get(key(0), 0) == nil || v.known.Get(key(-1), 0) != nil || len(v.flights) > 0 {
		t.Error("it isn't kept what is known")
	}
}

// TestAllocates0: a password that is known to be right costs no memory.
func TestAllocates0(t *testing.T) {
	g, _ := newGuard(t, "alice")
	var r policy.Request
	if got := judge(t, g, &r, value("alice", "of alice")); got != 200 {
		t.Fatalf("got %d", got)
	}
	header := message.Header{}
	header.Add([]byte("Authorization"), []byte(value("alice", "of alice")))
	fields := make(message.Header, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		fields = append(fields[:0], header...)
		r.Header = &fields
		if answer, err := g.Judge(&r); answer != nil || err != nil {
			t.Error(answer, err)
		}
	}); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// FuzzCredentials: whatever is sent, only the right text passes.
func FuzzCredentials(f *testing.F) {
	f.Add("Basic YWxpY2U6b2YgYWxpY2U=")
	f.Add("basic  YWxpY2U6b2YgYWxpY2U=\t")
	f.Add("Basic YWxpY2U6b2YgYWxpY2V=")
	f.Add("Basic =")
	g, _ := newGuard(f, "alice")
	f.Fuzz(func(t *testing.T, text string) {
		var r policy.Request
		got := judge(t, g, &r, text)
		_, encoded, _ := strings.Cut(text, " ")
		decoded, err := base64.StdEncoding.Strict().DecodeString(strings.Trim(encoded, " \t"))
		if right := err == nil && string(decoded) == "alice:of alice"; got == 200 && !right {
			t.Errorf("%q passes", text)
		}
		if (got == 200) != (string(r.User) == "alice") {
			t.Errorf("%q: got %d as %q", text, got, r.User)
		}
	})
}

// FuzzUsers: whatever a file has, each of its users has a name that can be sent and a
// hash within bounds, and an error tells no hash.
func FuzzUsers(f *testing.F) {
	f.Add([]byte("# a\nalice:$2y$05$" + strings.Repeat("a", 53) + "\r\nbob:$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc:x\n"))
	f.Add([]byte("a:$argon2id$v=19$m=,t=,p=$$\n:\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		users, err := parseUsers(content)
		if (err == nil) == (len(users) == 0) {
			t.Errorf("got %d users and %v", len(users), err)
		}
		for i := range users {
			u := &users[i]
			if !message.IsFieldText(u.name) || len(u.name) == 0 || strings.Contains(string(u.name), ":") {
				t.Errorf("user %q", u.name)
			}
			if a, ok := u.hash.(*argonHash); ok && (a.memory > maxMemory || a.time > maxPasses || a.memory*a.time > maxWork || a.time == 0 || a.threads == 0) {
				t.Errorf("user %q has a hash that costs too much: %+v", u.name, a)
			}
		}
	})
}
