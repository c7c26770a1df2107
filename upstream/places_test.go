package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestPlaces: a tenant leaves places to others, all together have so many, and
// what is given back can be taken.
func TestPlaces(t *testing.T) {
	t.Parallel()
	p := upstream.NewPlaces(8)
	take := func(tenant string, wanted int) (givenBack []func()) {
		t.Helper()
		for range 20 {
			giveBack, err := p.Take(tenant)
			if err != nil {
				if !errors.Is(err, syscall.EMFILE) {
					t.Fatal(err)
				}
				break
			}
			givenBack = append(givenBack, giveBack)
		}
		if len(givenBack) != wanted {
			t.Fatalf("%s has taken %d, want %d", tenant, len(givenBack), wanted)
		}
		return givenBack
	}
	held := take("a", 6)
	take("b", 2)
	take("c", 0)
	for _, giveBack := range held[:3] {
		giveBack()
	}
	take("c", 3)
	var none *upstream.Places
	if _, err := none.Take("a"); err != nil {
		t.Error(err)
	}
}

// TestPlacesOfThirds: whatever the other tenants take together, each has its
// part, and all together no more than there are.
func TestPlacesOfThirds(t *testing.T) {
	t.Parallel()
	const most = 64
	for _, tenants := range []int{1, 2, 3, 8, 16, 17, 1000} {
		p := upstream.NewPlaces(most)
		p.SetTenants(tenants)
		all, denied := 0, 0
		take := func(tenant, wanted int) (taken int) {
			for taken < wanted {
				if _, err := p.Take(fmt.Sprint(tenant)); err != nil {
					break
				}
				taken++
			}
			all += taken
			return taken
		}
		for hostile := range min(tenants-1, most) {
			take(hostile, most)
		}
		for last := min(tenants-1, most); last < min(tenants, most); last++ {
			if take(last, most) == 0 {
				denied++
			}
		}
		if all > most || denied > 0 && tenants <= most/4 {
			t.Errorf("%d tenants: %d places of %d were taken, %d tenants had none", tenants, all, most, denied)
		}
		if tenants > 1 && tenants <= most/4 && all < most-2*most/tenants {
			t.Errorf("%d tenants: only %d places of %d could be used", tenants, all, most)
		}
	}
	p := upstream.NewPlaces(most) // two of three, again and again, and at a change
	p.SetTenants(3)
	var held []func()
	for i := range 10 * most {
		if giveBack, err := p.Take(fmt.Sprint(i % 2)); err == nil {
			held = append(held, giveBack)
		}
	}
	third, err := p.Take("third")
	if err != nil {
		t.Fatal(err)
	}
	p.SetTenants(4)
	fourth, err := p.Take("fourth")
	if err != nil {
		t.Fatal(err)
	}
	for _, giveBack := range append(held, third, fourth) {
		giveBack()
	}
	p.SetTenants(1)
	for range most * 3 / 4 {
		if _, err := p.Take("one"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlacesToTheLast counts, for every way in which two tenants may hold places
// when it changes how many share them, how many a third can take then, and again
// when all was given back.
func TestPlacesToTheLast(t *testing.T) {
	t.Parallel()
	const most = 16
	for _, tenants := range [][2]int{{1, 4}, {4, 1}, {2, 2}, {4, 2}, {3, 16}} {
		for _, held := range [][2]int{{0, 0}, {1, 0}, {2, 1}, {5, 5}, {12, 1}} {
			p := upstream.NewPlaces(most)
			take := func(tenant string, wanted int) (held []func()) {
				for range wanted {
					if giveBack, err := p.Take(tenant); err == nil {
						held = append(held, giveBack)
					}
				}
				return held
			}
			p.SetTenants(tenants[0])
			first, second := take("a", held[0]), take("b", held[1])
			p.SetTenants(tenants[1])
			part := max(1, most/4/tenants[1])
			beyond := most - min(most/4, tenants[1]*part)
			free := beyond - max(0, len(first)-part) - max(0, len(second)-part)
			want := min(most*3/4, max(0, free)+part, most-len(first)-len(second))
			third := take("c", most)
			if len(third) != want {
				t.Errorf("%d, then %d tenants, of whom two hold %d and %d: a third can take %d, want %d", tenants[0], tenants[1], len(first), len(second), len(third), want)
			}
			for _, giveBack := range append(append(first, second...), third...) {
				giveBack()
			}
			want = min(most*3/4, beyond+part)
			if again := take("d", most); len(again) != want {
				t.Errorf("%d tenants, and all was given back: one can take %d, want %d", tenants[1], len(again), want)
			}
		}
	}
}

// TestConnectionsTakePlaces: a connection has a place from before it is dialled
// until it is closed; one that fails has none.
func TestConnectionsTakePlaces(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	defer func() { _ = server.Close() }()
	o := upstream.Options{Places: upstream.NewPlaces(1)}
	fail := true
	dial := (&net.Dialer{}).DialContext
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, err := o.Places.Take("other"); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("while it is dialled, another one gets a place: %v", err)
		}
		if fail {
			return nil, syscall.EADDRNOTAVAIL
		}
		return dial(ctx, network, address)
	}
	r := upstream.NewRegistry(o)
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "a", Services: services("http://" + server.Addr().String())}).Pools()[0]
	if _, _, err := do(p, &plainRequest{method: "GET", path: "/"}); err == nil {
		t.Error("a connection that can't be made answers")
	}
	fail = false
	for range 2 { // the second uses the first's
		if _, _, err := do(p, &plainRequest{method: "GET", path: "/"}); err != nil {
			t.Error(err)
		}
	}
	if _, err := o.Places.Take("other"); err == nil {
		t.Error("a kept connection has no place")
	}
	p.Targets()[0].Client().CloseIdleConnections()
	if _, err := o.Places.Take("other"); err != nil {
		t.Errorf("a closed connection has its place still: %v", err)
	}
}
