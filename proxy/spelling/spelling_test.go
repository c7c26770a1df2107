package spelling_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
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
