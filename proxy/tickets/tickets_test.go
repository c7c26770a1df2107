package tickets_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/tickets"
)

// TestTickets opens tickets of other times, terms, names and secrets.
func TestTickets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	secret := make([]byte, 48)
	_, _ = rand.Read(secret)
	session, terms := []byte("a session"), [32]byte{1}
	for name, shared := range map[string]bool{"own": false, "shared": true} {
		now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		keys, other := tickets.New(clock), tickets.New(clock)
		if shared {
			keys.Use(tickets.Shared(secret))
			other.Use(tickets.Shared(secret))
		}
		ticket, err := keys.Seal(terms, "a.example", session)
		if err != nil {
			t.Fatal(err)
		}
		if opened := other.Open(terms, "a.example", ticket); (opened != nil) != shared || shared && !bytes.Equal(opened, session) {
			t.Errorf("%s: another gateway opens %q", name, opened)
		}
		if keys.Open([32]byte{2}, "a.example", ticket) != nil || keys.Open(terms, "b.example", ticket) != nil || keys.Open(terms, "", ticket) != nil {
			t.Errorf("%s: opened for other terms, or another name", name)
		}
		for i := range ticket {
			wrong := bytes.Clone(ticket)
			wrong[i] ^= 1
			if keys.Open(terms, "a.example", wrong) != nil || keys.Open(terms, "a.example", ticket[:i]) != nil {
				t.Errorf("%s: opened with another byte %d, or without it", name, i)
			}
		}
		if again, _ := keys.Seal(terms, "a.example", session); bytes.Equal(again, ticket) {
			t.Errorf("%s: two tickets are the same", name)
		}
		for _, later := range []struct {
			by   time.Duration
			open bool
		}{{-tickets.Period, shared}, {-2 * tickets.Period, false}, {2 * tickets.Period, true}, {3 * tickets.Period, false}} {
			now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(later.by)
			_, _ = keys.Seal(terms, "a.example", session) // a key of that time
			if opened := keys.Open(terms, "a.example", ticket); (opened != nil) != later.open && later.by > 0 {
				t.Errorf("%s: after %v it is open: %v", name, later.by, opened != nil)
			}
		}
	}
	keys := tickets.New(clock)
	keys.Use(tickets.Shared(secret))
	ticket, _ := keys.Seal(terms, "", session)
	keys.Use(tickets.Shared(append([]byte{0}, secret...)))
	if keys.Open(terms, "", ticket) != nil {
		t.Error("a ticket of the secret before is opened")
	}
}

// TestRead refuses what is no secret.
func TestRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	for size, good := range map[int]bool{0: false, 31: false, 32: true, 64 << 10: true, 64<<10 + 1: false} {
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tickets.Read(file); (err == nil) != good {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := tickets.Read(file + "x"); err == nil {
		t.Error("no file is a secret")
	}
}

func BenchmarkSealOpen(b *testing.B) {
	keys, session := tickets.New(time.Now), make([]byte, 200)
	for b.Loop() {
		ticket, _ := keys.Seal([32]byte{}, "shop.example.com", session)
		if keys.Open([32]byte{}, "shop.example.com", ticket) == nil {
			b.Fatal("it doesn't open")
		}
	}
}
