package upstream

import (
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

func checkPositive(r settings.Reporter, field *settings.Duration, key string) {
	if *field <= 0 {
		r.Errorf(field, "%s %v is not positive, expected a duration like 5s or 250ms", key, field.Std())
	}
}

func checkCount(r settings.Reporter, field *int, key string, low, high int) {
	if *field < low || *field > high {
		r.Errorf(field, "%s %d is out of range, expected %d to %d", key, *field, low, high)
	}
}

// checkPath accepts what may stand in the request line of a probe.
func checkPath(r settings.Reporter, field *string, key string) {
	path := *field
	if !strings.HasPrefix(path, "/") {
		r.Errorf(field, "%s %q is not a path, expected one that starts with / such as /health", key, path)
		return
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			r.Errorf(field, "%s %q contains the byte %q, expected it to be percent-encoded", key, path, c)
			return
		}
	}
}
