package generator

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Field is a field of the requests' header.
type Field struct{ Name, Value string }

// ParseField reads "Name: value". Host is Options.Host, and no field.
func ParseField(text string) (Field, error) {
	name, value, found := strings.Cut(text, ":")
	f := Field{strings.TrimSpace(name), strings.TrimSpace(value)}
	if !found {
		return f, fmt.Errorf("-H %q: expected 'Name: value'", text)
	}
	return f, f.check()
}

// check refuses what would break the request, or what has a flag of its own.
func (f *Field) check() error {
	if !message.IsToken([]byte(f.Name)) {
		return fmt.Errorf("-H: the name %q of a field: expected letters, digits and -", f.Name)
	}
	for i := range len(f.Value) {
		if c := f.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("-H: the value %q of %s: expected no control characters", f.Value, f.Name)
		}
	}
	switch strings.ToLower(f.Name) {
	case "connection":
		return fmt.Errorf("-H %s: expected -keepalive=false to close connections", f.Name)
	case "content-length", "transfer-encoding":
		return fmt.Errorf("-H %s: expected no framing, it follows from -body or -body-file", f.Name)
	}
	return nil
}

// request is a target as it is sent.
type request struct {
	client *client
	head   []byte // with the body, if that is small
	body   []byte // a large one
	noBody bool   // the response has none: HEAD
}

// smallBody is up to which size, in bytes, a body is sent with the head.
const smallBody = 64 << 10

const agent = "keystone-gateway-bench"

// requestOf writes the request of a target, whose defaults have been filled in.
func requestOf(t *Target, o *Options, c *client) request {
	head := t.Method + " " + pathOf(t.URL) + " HTTP/1.1\r\nHost: " + t.Host + "\r\n"
	named := false
	for _, f := range o.Fields {
		head += f.Name + ": " + f.Value + "\r\n"
		named = named || strings.EqualFold(f.Name, "User-Agent")
	}
	if !named {
		head += "User-Agent: " + agent + "\r\n"
	}
	if o.Close {
		head += "Connection: close\r\n"
	}
	if len(o.Body) > 0 || t.Method == "POST" || t.Method == "PUT" || t.Method == "PATCH" {
		head += "Content-Length: " + strconv.Itoa(len(o.Body)) + "\r\n"
	}
	head += "\r\n"
	r := request{client: c, head: []byte(head), noBody: t.Method == "HEAD"}
	if len(o.Body) > smallBody || len(o.Body) > 0 && len(o.Targets) > 1000 {
		r.body = o.Body
	} else {
		r.head = append(r.head, o.Body...)
	}
	return r
}
