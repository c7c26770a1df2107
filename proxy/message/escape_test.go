package message_test

import (
	"net/url"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// FuzzParameter compares with net/url, which knows no broken escapes.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"", "a+b", "%41%2b%2B", "%", "%4", "%zz+%41", "%%41", "a%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := string(message.AppendParameter(nil, []byte(text)))
		if want, err := url.QueryUnescape(text); err == nil && got != want {
			t.Errorf("%q is decoded as %q, net/url says %q", text, got, want)
		}
		if len(got) > len(text) {
			t.Errorf("%q has become longer: %q", text, got)
		}
	})
}

// TestBrokenEscapesStay: they stand for themselves, and what is beside them is decoded.
func TestBrokenEscapesStay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"%": "%", "%4": "%4", "%zz+%41": "%zz A", "%%41": "%A", "100%+x": "100% x"} {
		if got := string(message.AppendParameter(nil, []byte(text))); got != want {
			t.Errorf("%q is decoded as %q, want %q", text, got, want)
		}
	}
}
