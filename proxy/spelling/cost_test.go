package spelling_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestNearestIsCheap: scripts may choose the words, and have a guess made
// in a single instruction.
func TestNearestIsCheap(t *testing.T) {
	known := make([]string, 100_000)
	for i := range known {
		known[i] = strings.Repeat("x", 58) + strconv.Itoa(i)
	}
	word := strings.Repeat("y", 4) + strings.Repeat("x", 58)
	if n := measure.Allocations(1, func() { spelling.Nearest(word, known) }); n != 0 {
		t.Errorf("%d allocations, expected 0", n)
	}
	known[1000] = word
	if got := spelling.Nearest(word, known); got != "" {
		t.Errorf("%q, expected that only the first 1,000 words are compared", got)
	}
}

// TestNearestCounts compares with the whole matrix.
func TestNearestCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := make([]byte, random.IntN(11))
		for i := range b {
			b[i] = "abc"[random.IntN(3)]
		}
		return string(b)
	}
	for range 20_000 {
		a, b := text(), text()
		most := min(3, max(1, max(len(a), len(b))/3))
		want := ""
		if d := whole(a, b); d <= most && d < max(len(a), len(b)) {
			want = b
		}
		if got := spelling.Nearest(a, []string{b}); got != want {
			t.Fatalf("%q for %q: got %q, want %q", b, a, got, want)
		}
	}
}

func whole(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
