package vm_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestCopies demands of copies in parts that they are copies, at any length.
func TestCopies(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range 100_000 {
		long.WriteByte(byte('a' + i%23))
	}
	for _, n := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 40_000, 100_000} {
		text := long.String()[:n]
		if got := vm.Clone(text); got != text {
			t.Errorf("a clone of %d bytes has %d, or others", n, len(got))
		}
		for _, before := range []string{"", "before", long.String()} {
			var b strings.Builder
			b.WriteString(before)
			vm.Append(&b, text)
			if b.String() != before+text {
				t.Errorf("%d bytes after %d: %d, or others", n, len(before), b.Len())
			}
			if got := vm.AppendBytes([]byte(before), text); string(got) != before+text {
				t.Errorf("%d bytes after %d in a slice: %d, or others", n, len(before), len(got))
			}
		}
	}
}
