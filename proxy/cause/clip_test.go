package cause_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// TestClip leaves what is short alone, and cuts between characters.
func TestClip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abcd…", "abcéf": "abc…", "abc€": "abc…", "\x80\x80\x80\x80\x80\x80": "…"} {
		if got := cause.Clip(text, 4); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	long := cause.Short(errors.New("x" + strings.Repeat("é", cause.MaxShort)))
	if !utf8.ValidString(long) || len(long) > cause.MaxShort+len("…") {
		t.Errorf("%d bytes", len(long))
	}
}
