package route

// Refusal says why a host or a request target has no canonical form. Each one
// is the client's fault and is answered with 400. Refusals are constants, so
// that a hostile client can't make the gateway allocate; compare them with ==
// or find them with errors.As.
type Refusal string

// Reasons why Canonical and Strip refuse a request target.
const (
	RefusedForm      Refusal = "request target does not start with a slash, expected a path such as /index"
	RefusedByte      Refusal = "control byte, space or byte above 0x7E in the request target, expected it percent-encoded"
	RefusedFragment  Refusal = "number sign in the request target, expected %23 or nothing: a fragment is never sent"
	RefusedBackslash Refusal = "backslash in the path, expected / or %5C"
	RefusedEscape    Refusal = "broken percent-escape in the path, expected % and two hexadecimal digits"
	RefusedControl   Refusal = "percent-encoded control byte in the path, expected none of %00 to %1F and %7F"
	RefusedOverlong  Refusal = "overlong UTF-8 in the path, expected the shortest encoding"
	RefusedClimb     Refusal = "dot segments in the path climb above the root"
	RefusedDots      Refusal = "dot segment in the path beside a semicolon or an encoded slash or backslash, expected a plain one"
	RefusedParameter Refusal = "encoded slash or backslash after a semicolon within one path segment"
	RefusedEmpty     Refusal = "dot segment behind an empty one in the path, expected a path without dot segments where slashes aren't merged"
	RefusedStrip     Refusal = "encoded slash where the path prefix ends, expected a plain one"
	RefusedCapture   Refusal = "part of the path that the route would make a dot segment of"
)

// Reasons why CanonicalHost refuses a host.
const (
	RefusedHostEmpty  Refusal = "host is empty, expected a name or an address"
	RefusedHostLength Refusal = "host is longer than 255 bytes"
	RefusedHostByte   Refusal = "host has a byte other than letters, digits, hyphens, dots and underscores"
	RefusedHostLabel  Refusal = "host has an empty label, expected single dots between labels"
	RefusedHostIPv6   Refusal = "host has an invalid address in brackets, expected IPv6 without a zone"
	RefusedHostPort   Refusal = "host has an invalid port, expected a number from 0 to 65535"
)

// Error returns the reason: what was wrong and what was expected.
func (r Refusal) Error() string { return string(r) }
