package spelling_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

func TestNearest(t *testing.T) {
	known := []string{"domains", "path_prefix", "name", "url", "health", "tls"}
	tests := []struct{ word, want string }{
		{"domans", "domains"},
		{"dmoains", "domains"},
		{"Domain", "domains"},
		{"path-prefix", "path_prefix"},
		{"pathprefix", "path_prefix"},
		{"nmae", "name"},
		{"uri", "url"},
		{"heath", "health"},
		{"ssl", ""},
		{"backend", ""},
		{"", ""},
		{"x", ""},
		{string(make([]byte, 1000)), ""},
	}
	for _, test := range tests {
		if got := spelling.Nearest(test.word, known); got != test.want {
			t.Errorf("%q: got %q, want %q", test.word, got, test.want)
		}
	}
}

// TestNearestIsExact compares with the whole matrix.
func TestNearestIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, r.IntN(14))
		for i := range b {
			b[i] = "abC-_é"[r.IntN(6)]
		}
		return strings.ToValidUTF8(string(b), "")
	}
	for range 20_000 {
		asked, known := word(), []string{word(), word(), word()}
		if got, want := spelling.Nearest(asked, known), nearest(asked, known); got != want {
			t.Fatalf("%q among %q: got %q, want %q", asked, known, got, want)
		}
	}
}

// nearest is Nearest in full.
func nearest(word string, known []string) (best string) {
	bestDistance := 1 << 30
	for _, candidate := range known {
		longest := max(len(word), len(candidate))
		d := distance(fold(word), fold(candidate))
		if d <= min(3, max(1, longest/3)) && d < longest && d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

func fold(s string) []rune { return []rune(strings.ReplaceAll(strings.ToLower(s), "-", "_")) }

func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// TestNearestAllocatesNothing holds the cost of a guess down, which scripts can
// ask for in a loop.
func TestNearestAllocatesNothing(t *testing.T) {
	known := []string{strings.Repeat("a", 40), strings.Repeat("é", 20), "short"}
	word := "bbb" + known[0][3:]
	if n := measure.Allocations(100, func() { spelling.Nearest(word, known) }); n > 0 {
		t.Errorf("%d allocations in 100 runs", n)
	}
}
