package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// What a request may ask for.
const (
	MaxURL       = 16 << 10 // bytes, with the query
	MaxName      = 256      // bytes of the name of a field
	MaxRedirects = 10
	MaxTimeout   = 5 * time.Minute
)

// Request is one to make, with everything checked that goes into its head. It
// may be made several times, also at once.
type Request struct {
	Body        string
	Timeout     time.Duration // of everything until the end of the response, up to MaxTimeout
	Redirects   int           // how many are followed, up to MaxRedirects; 0 returns the first as the answer
	MaxResponse int64         // bytes of its body
	Decompress  bool          // asks for gzip, and unpacks it
	Hops        string        // the value of HopsField; "" is the client's own

	method string
	url    *url.URL
	host   string // where it isn't the URL's
	header http.Header
}

// NewRequest returns a GET with the client's time-out and bounds. It needs a
// URL yet.
func (c *Client) NewRequest() *Request {
	return &Request{Timeout: c.config.Timeout, MaxResponse: c.config.MaxResponse, method: http.MethodGet, header: http.Header{}}
}

// SetMethod sets the method, in upper case.
func (r *Request) SetMethod(method string) error {
	if len(method) > 40 || !message.IsToken([]byte(method)) {
		return fmt.Errorf("method %.40q is not a method", method)
	}
	if r.method = strings.ToUpper(method); r.method == http.MethodConnect {
		return errors.New("method CONNECT is not supported")
	}
	return nil
}

// ReservedError is a field that is not the request's to set.
type ReservedError struct{ Name, Owner string }

func (e *ReservedError) Error() string {
	return fmt.Sprintf("header %s belongs to %s and can't be set", e.Name, e.Owner)
}

// Add adds a field with its values to the header. Host has exactly one.
func (r *Request) Add(name string, values ...string) error {
	if len(name) > MaxName || !message.IsToken([]byte(name)) {
		return fmt.Errorf("header %.60q is not the name of a header", name)
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case isGatewayField(name):
		return &ReservedError{name, "the gateway"}
	case isConnectionField(name):
		return &ReservedError{name, "the connection"}
	}
	for _, value := range values {
		if !isFieldValue(value) {
			return fmt.Errorf("header %s has a line break or another control character in its value", name)
		}
	}
	if name == "Host" {
		if len(values) != 1 || !isHost(values[0]) {
			return errors.New("header Host is not a host")
		}
		r.host = values[0]
		return nil
	}
	r.header[name] = append(r.header[name], values...)
	return nil
}

// Has says whether the header has a field with a value.
func (r *Request) Has(name string) bool { return r.header.Get(name) != "" }

// sent returns the header to send: a clone, because a request may be made again.
func (r *Request) sent(userAgent string) http.Header {
	header := r.header.Clone()
	if _, given := header["User-Agent"]; !given {
		header.Set("User-Agent", userAgent)
	}
	if r.Decompress && header.Get("Accept-Encoding") == "" {
		header.Set("Accept-Encoding", "gzip")
	}
	return header
}

// SetURL checks a URL and adds a query to its own.
func (r *Request) SetURL(target, query string) error {
	if len(target) > MaxURL {
		return fmt.Errorf("URL longer than %d bytes", MaxURL)
	}
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("URL %.100q can't be parsed", target)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("URL %.100q does not begin with http:// or https://", target)
	}
	if u.Hostname() == "" || u.Opaque != "" || !isHost(u.Host) {
		return fmt.Errorf("URL %.100q has no valid host", target)
	}
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = strings.TrimPrefix(escapeRaw(u.RawQuery)+"&"+query, "&")
	u.RawQuery = strings.TrimSuffix(u.RawQuery, "&")
	r.url = u
	return nil
}

// escapeRaw escapes what net/url leaves in a query and what no request line
// may hold.
func escapeRaw(query string) string {
	bad := func(b byte) bool { return b <= ' ' || b >= 0x7f || b == '"' || b == '<' || b == '>' }
	var out strings.Builder
	for i := range len(query) {
		if bad(query[i]) {
			const digits = "0123456789ABCDEF"
			out.WriteByte('%')
			out.WriteByte(digits[query[i]>>4])
			out.WriteByte(digits[query[i]&15])
		} else {
			out.WriteByte(query[i])
		}
	}
	return out.String()
}

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isFieldValue reports whether s is no more than one value: RFC 9110 section 5.5.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if b := s[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether s has the characters of a host with a port. What
// they mean is for the dialler to find out.
func isHost(s string) bool {
	for i := range len(s) {
		if b := s[i]; !isAlphanumeric(b) && strings.IndexByte("-._:[]%~", b) < 0 && b < 0x80 {
			return false
		}
	}
	return s != "" && len(s) <= 300
}

// isConnectionField reports whether a field is about the connection or about
// the framing of the body, which are the client's business: RFC 9110 section
// 7.6.1.
func isConnectionField(name string) bool {
	return slices.Contains([]string{
		"Connection", "Content-Length", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}, name)
}

// isGatewayField reports whether a field is one by which gateways know each
// other and their operators, underscores taken for hyphens.
func isGatewayField(name string) bool {
	const prefix = "X-Gateway-"
	return len(name) >= len(prefix) && strings.EqualFold(strings.ReplaceAll(name[:len(prefix)], "_", "-"), prefix)
}
