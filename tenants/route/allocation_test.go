package route_test

import (
	"fmt"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// many builds a table of 10,000 tenants (by host, by path, hybrid, wildcard)
// and returns requests for each kind and for none.
func many(t testing.TB) (table *route.Table[string], hosts, paths [][]byte) {
	t.Helper()
	const count = 10_000
	matches := make([]string, 0, count)
	for i := range count {
		switch i % 5 {
		case 0:
			matches = append(matches, fmt.Sprintf("tenant%d.example.com", i))
		case 1:
			matches = append(matches, fmt.Sprintf("tenant%d.example.com/api/v1", i))
		case 2:
			matches = append(matches, fmt.Sprintf("*.tenant%d.example.com", i))
		case 3:
			matches = append(matches, fmt.Sprintf("/apps/tenant%d", i))
		case 4:
			matches = append(matches, fmt.Sprintf("shared.example.com/tenant%d", i))
		}
	}
	for i := range 1024 {
		n := i * 7919 % count / 5 * 5
		requests := []string{
			fmt.Sprintf("tenant%d.example.com /static/app.js", n),
			fmt.Sprintf("tenant%d.example.com /api/v1/users/17", n+1),
			fmt.Sprintf("a.b.tenant%d.example.com /", n+2),
			fmt.Sprintf("gateway.example.net /apps/tenant%d/a/b/c/d/e", n+3),
			fmt.Sprintf("shared.example.com /tenant%d;v=1/a%%2Fb", n+4),
			"nobody.example.net /x/y/z",
		}
		var host, path string
		if _, err := fmt.Sscan(requests[i%len(requests)], &host, &path); err != nil {
			t.Fatal(err)
		}
		hosts, paths = append(hosts, []byte(host)), append(paths, []byte(path))
	}
	return build(t, matches...), hosts, paths
}

func TestMatchAllocates0(t *testing.T) {
	table, hosts, paths := many(t)
	matched, runs := 0, 0
	allocations := measure.Allocations(10, func() {
		runs++
		for i := range hosts {
			if _, ok := table.Match(hosts[i], paths[i]); ok {
				matched++
			}
		}
	})
	if allocations != 0 {
		t.Errorf("matching allocates %d times in 10 runs, expected 0", allocations)
	}
	if want := runs * (1024 - 1024/6); matched != want {
		t.Errorf("%d requests found a tenant, expected %d", matched, want)
	}
}

func TestCanonicalAllocates0(t *testing.T) {
	dst := make([]byte, 0, 512)
	for _, s := range []string{
		"/api/v1/users/17?page=2", "/a/../%61dmin;x//y%2fz[0]", "/..%2f", "/%zz", "/../x", "/x#", "x",
	} {
		target := []byte(s)
		if n := measure.Allocations(100, func() {
			path, _, _, err := route.Canonical(dst, target)
			if err == nil {
				_, _ = route.Strip(path, "/api")
			}
		}); n != 0 {
			t.Errorf("%q: %d allocations in 100 runs, expected 0", s, n)
		}
	}
	path := []byte("/a;x/%2Fb%40/c")
	if n := measure.Allocations(100, func() { route.Key(dst, path) }); n != 0 {
		t.Errorf("Key: %d allocations in 100 runs, expected 0", n)
	}
}

func TestCanonicalHostAllocates0(t *testing.T) {
	dst := make([]byte, 0, 255)
	for _, s := range []string{"example.com", "Example.COM.:8080", "a..b", "a:x", ""} {
		field := []byte(s)
		if n := measure.Allocations(100, func() { _, _ = route.CanonicalHost(dst, field) }); n != 0 {
			t.Errorf("%q: %d allocations in 100 runs, expected 0", s, n)
		}
	}
}

func BenchmarkMatch10000(b *testing.B) {
	table, hosts, paths := many(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Match(hosts[i&1023], paths[i&1023])
		i++
	}
}

func BenchmarkCanonical(b *testing.B) {
	for _, s := range []string{"/api/v1/users/17?page=2", "/api/v1/@scope%2fname/../x"} {
		b.Run(s, func(b *testing.B) {
			dst, target := make([]byte, 0, 512), []byte(s)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := route.Canonical(dst, target); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanonicalHost(b *testing.B) {
	dst, field := make([]byte, 0, 255), []byte("Tenant17.example.com:8080")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := route.CanonicalHost(dst, field); err != nil {
			b.Fatal(err)
		}
	}
}
