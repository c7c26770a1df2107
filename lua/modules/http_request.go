package modules

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

const (
	maxURL     = 16 << 10 // bytes, with the query
	maxName    = 256      // bytes of the name of a header field
	maxFields  = 200      // header fields, and parameters of a query
	maxBodySet = 64       // requests of one http.all
)

// commonOptions are the options of every request; http.request also has a
// method, a URL and a body among them.
func commonOptions() []string {
	return []string{"headers", "query", "json", "timeout", "redirects", "max_response", "decompress"}
}

// readRequest makes a request of options. The error is about the URL, which
// may be made of what a client sent; everything else is misuse and raised.
func (c *Client) readRequest(o options, method, target, body string, hasBody bool) (*request, error) {
	r := &request{
		method:      o.method(method),
		header:      http.Header{},
		body:        body,
		timeout:     time.Duration(o.number("timeout", 0.001, maxTimeout.Seconds(), c.config.Timeout.Seconds()) * float64(time.Second)),
		redirects:   int(o.whole("redirects", 0, maxRedirects, 0)),
		maxResponse: o.whole("max_response", 1, c.config.MaxResponse, c.config.MaxResponse),
		decompress:  o.boolean("decompress"),
	}
	if owner, ok := vm.RunOf(o.L).Owner.(Hopping); ok {
		r.hops = owner.Hops()
	}
	r.header.Set("User-Agent", c.config.UserAgent)
	o.readHeaders(r, false)
	o.readJSON(r, hasBody)
	if r.decompress && r.header.Get("Accept-Encoding") == "" {
		r.header.Set("Accept-Encoding", "gzip")
	}
	query := o.query()
	vm.RunOf(o.L).Spend(o.L, min(len(target), maxURL)+len(query))
	err := r.setURL(target, query)
	return r, err
}

// method returns a method in upper case.
func (o options) method(method string) string {
	if len(method) > 40 || !isToken(method) {
		o.fail("method %.40q is not a method", method)
	}
	method = strings.ToUpper(method)
	if method == http.MethodConnect {
		o.fail("method CONNECT is not supported")
	}
	return method
}

// readHeaders sets the fields. lenient leaves out what scripts of the earlier
// Keystone pass on with the fields of a request, instead of raising an error.
func (o options) readHeaders(r *request, lenient bool) {
	seen := map[string]bool{}
	o.pairs("headers", maxFields, func(name string, values []string) {
		if len(name) > maxName || !isToken(name) {
			o.fail("header %.60q is not the name of a header", name)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if isConnectionField(name) || isGatewayField(name) {
			if !lenient {
				o.fail("header %s belongs to %s and can't be set", name, ownerOf(name))
			}
			return
		}
		for _, value := range values {
			if !isFieldValue(value) {
				o.fail("header %s has a line break or another control character in its value", name)
			}
		}
		switch {
		case name == "Host":
			if len(values) != 1 || !isHost(values[0]) {
				o.fail("header Host is not a host")
			}
			r.host = values[0]
		case seen[name]:
			r.header[name] = append(r.header[name], values...)
		default:
			r.header[name] = values
			seen[name] = true
		}
	})
}

// readJSON makes the body of the option json.
func (o options) readJSON(r *request, hasBody bool) {
	value := o.get("json")
	if value == glua.LNil {
		return
	}
	if hasBody {
		o.fail("there is a body beside json")
	}
	text, err := EncodeJSON(o.L, value)
	if err != nil {
		o.fail("json: %s", err)
	}
	r.body = string(text)
	if r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", "application/json")
	}
}

// query returns the encoded option, in a stable order.
func (o options) query() string {
	values := url.Values{}
	bytes := 0
	o.pairs("query", maxFields, func(name string, list []string) {
		values[name] = append(values[name], list...)
		for _, value := range list {
			bytes += len(name) + len(value)
		}
		if bytes > maxURL {
			o.fail("query is longer than %d bytes", maxURL)
		}
	})
	vm.RunOf(o.L).Charge(o.L, 4*bytes)
	return values.Encode()
}

// setURL checks a URL and adds a query to its own.
func (r *request) setURL(target, query string) error {
	if len(target) > maxURL {
		return fmt.Errorf("URL longer than %d bytes", maxURL)
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

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if b := s[i]; !isAlphanumeric(b) && strings.IndexByte("!#$%&'*+-.^_`|~", b) < 0 {
			return false
		}
	}
	return s != ""
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

func ownerOf(field string) string {
	if isGatewayField(field) {
		return "the gateway"
	}
	return "the connection"
}
