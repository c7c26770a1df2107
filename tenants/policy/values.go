package policy

import (
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Values are what a policy has found out about who has sent a request, verified, for
// the policies behind it: limits count by them, scripts ask for them.
type Values interface {
	// Value returns one as text; nil: there is none. It must not allocate, and what
	// it returns doesn't change until the request ends.
	Value(name string) []byte
}

// MaxValue bounds a value that is left, in bytes.
const MaxValue = 256

// left is what one policy has left.
type left struct {
	policy string
	values Values
}

// Leave leaves values under the name of a policy. A later policy of the same name
// replaces what an earlier one has left.
func (r *Request) Leave(policy string, v Values) {
	for i := range r.left {
		if r.left[i].policy == policy {
			r.left[i].values = v
			return
		}
	}
	r.left = append(r.left, left{policy, v})
}

// Left returns a value that a policy has left, by the policy's name, a dot and the
// value's: "jwt.sub". nil: there is none.
func (r *Request) Left(name string) []byte {
	policy, value, _ := strings.Cut(name, ".")
	for i := range r.left {
		if r.left[i].policy == policy {
			return r.left[i].values.Value(value)
		}
	}
	if r.Outer != nil {
		return r.Outer.Left(name)
	}
	return nil
}

// IsValueName reports whether a text is the name of a value that a policy could
// leave, as Left takes it.
func IsValueName(text string) bool {
	policy, value, ok := strings.Cut(text, ".")
	if !ok || value == "" || len(value) > MaxValue {
		return false
	}
	for _, c := range policy {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return policy != ""
}

// Owner is a policy that writes fields of requests which nobody else may send, since
// targets believe them. The chain drops them of what clients have sent, also of
// trailers, before its first policy is asked, and whether or not this one is.
type Owner interface {
	// Owns lists them, as message.NewNameSet takes them.
	Owns() []string
}

// CheckOwned says why a policy can't be the only one to write a field of requests,
// nil: it can.
func CheckOwned(name string) error {
	if !message.IsToken([]byte(name)) || len(name) > message.MaxSetName {
		return fmt.Errorf("%.64q is not the name of a field, expected one like X-Auth-User, of at most %d bytes", name, message.MaxSetName)
	}
	switch message.Identify([]byte(name)) {
	case message.Unknown, message.XForwardedAny:
		return nil
	}
	return fmt.Errorf("field %q has a meaning of its own in HTTP or for the gateway, expected one like X-Auth-User", name)
}

// SetOwned sets a field that the policy owns. The request keeps name and value.
func (r *Request) SetOwned(name, value []byte) { r.Header.Set(name, value) }
