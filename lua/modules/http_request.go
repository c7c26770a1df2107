package modules

import (
	"errors"
	"net/url"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

const (
	maxFields  = 200 // header fields, and parameters of a query
	maxBodySet = 64  // requests of one http.all
)

// commonOptions are the options of every request; http.request also has a
// method, a URL and a body among them.
func commonOptions() []string {
	return []string{"headers", "query", "json", "timeout", "redirects", "max_response", "decompress"}
}

// readRequest makes a request of options. The error is about the URL, which
// may be made of what a client sent; everything else is misuse and raised.
func readRequest(c *fetch.Client, o options, method, target, body string, hasBody bool) (*fetch.Request, error) {
	r := c.NewRequest()
	if err := r.SetMethod(method); err != nil {
		o.fail("%s", err)
	}
	r.Body = body
	r.Timeout = time.Duration(o.number("timeout", 0.001, fetch.MaxTimeout.Seconds(), r.Timeout.Seconds()) * float64(time.Second))
	r.Redirects = int(o.whole("redirects", 0, fetch.MaxRedirects, 0))
	r.MaxResponse = o.whole("max_response", 1, r.MaxResponse, r.MaxResponse)
	r.Decompress = o.boolean("decompress")
	if owner, ok := vm.RunOf(o.L).Owner.(Hopping); ok {
		r.Hops = owner.Hops()
	}
	o.readHeaders(r, false)
	o.readJSON(r, hasBody)
	query := o.query()
	vm.RunOf(o.L).Spend(o.L, min(len(target), fetch.MaxURL)+len(query))
	return r, r.SetURL(target, query)
}

// Hopping is what the owner of a run implements for its requests to say how
// they came about: it returns the value of fetch.HopsField.
type Hopping interface{ Hops() string }

// readHeaders sets the fields. lenient leaves out what scripts of the earlier
// Keystone pass on with the fields of a request, instead of raising an error.
func (o options) readHeaders(r *fetch.Request, lenient bool) {
	o.pairs("headers", maxFields, func(name string, values []string) {
		err := r.Add(name, values...)
		if _, reserved := errors.AsType[*fetch.ReservedError](err); err != nil && (!reserved || !lenient) {
			o.fail("%s", err)
		}
	})
}

// readJSON makes the body of the option json.
func (o options) readJSON(r *fetch.Request, hasBody bool) {
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
	r.Body = string(text)
	if !r.Has("Content-Type") {
		_ = r.Add("Content-Type", "application/json")
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
		if bytes > fetch.MaxURL {
			o.fail("query is longer than %d bytes", fetch.MaxURL)
		}
	})
	vm.RunOf(o.L).Charge(o.L, 4*bytes)
	return values.Encode()
}
