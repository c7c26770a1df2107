// Package policytest asks policies in tests as the data plane does, without one: they
// are written as in a configuration.
//
//	chain := policytest.Build(t, "[{ip: {deny: 10.0.0.1}}]", policy.Deps{})
//	r := policytest.Request("GET / HTTP/1.1\r\nHost: example.com", "10.0.0.1")
//	outcome := policytest.Ask(chain, r)      // outcome.Code is "ip_denied"
package policytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Check decodes a tenant's list of policies, and checks it; files are read from the
// directory. Its error has everything that is wrong, without the places.
func Check(list, dir string) (*tenants.Config, error) {
	var s struct {
		Tenants []tenants.Config `yaml:"tenants"`
	}
	text := "tenants:\n- {name: x, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}], policies: " + strings.ReplaceAll(list, "\n", "\n  ") + "}\n"
	document := settings.Decode("c.yaml", []byte(text), &s, nil)
	tenants.CheckAll(s.Tenants, document, nil)
	for i := range s.Tenants {
		s.Tenants[i].LoadPolicies(func(path string, limit int64) ([]byte, error) {
			content, err := os.ReadFile(filepath.Join(dir, path)) //nolint:gosec // G304: of a test
			if err == nil && int64(len(content)) > limit {
				err = errors.New("it is too large")
			}
			return content, err //nolint:wrapcheck // for a test
		}, func(path string) (string, error) { return filepath.Join(dir, path), nil }, document)
	}
	if err := document.Err(); err != nil {
		return nil, err //nolint:wrapcheck // settings.Errors, as they are
	}
	return &s.Tenants[0], nil
}

// Build builds the policies of a list, as Check takes it.
func Build(t testing.TB, list string, deps policy.Deps) *policy.Chain {
	t.Helper()
	config, err := Check(list, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	counters := map[string]*policy.Counter{}
	chain, err := config.BuildPolicies(deps, func(name string) *policy.Counter {
		if counters[name] == nil {
			counters[name] = &policy.Counter{}
		}
		return counters[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// Request makes a request of a head, whose target is canonical, and of the client's
// address: "" is one on a Unix socket, "?" one that nobody names.
func Request(head, client string) *policy.Request {
	r := &policy.Request{Header: &message.Header{}, Tenant: "x", ID: []byte("id"), Waiter: waiter{}}
	line, fields, _ := strings.Cut(head, "\r\n")
	method, target, _ := strings.Cut(line, " ")
	target, _, _ = strings.Cut(target, " ")
	path, query, has := strings.Cut(target, "?")
	r.Method, r.Path = []byte(method), []byte(path)
	if has {
		r.Query = []byte("?" + query)
	}
	for field := range strings.SplitSeq(strings.TrimSpace(fields), "\r\n") {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			continue
		}
		if value = strings.TrimSpace(value); message.EqualFold([]byte(name), "host") {
			host, port, _ := strings.Cut(value, ":")
			r.Host, r.Port = []byte(strings.ToLower(host)), []byte(port)
		}
		*r.Header = append(*r.Header, message.Field{Name: []byte(name), Value: []byte(value), ID: message.Identify([]byte(name))})
	}
	switch client {
	case "":
	case "?":
		r.Unnamed = true
	default:
		r.Client = netip.MustParseAddr(client)
	}
	return r
}

type waiter struct{}

func (waiter) Wait(f func(ctx context.Context) error) error { return f(context.Background()) }

func (waiter) ReadBody(int64) ([]byte, error) { return nil, nil }

// Outcome is what has come of a request.
type Outcome struct {
	Status int            // 200 if it has passed
	Code   string         // of a refusal
	By     string         // the policy that has answered
	Header message.Header // of the response, amended
	Body   string         // of an answer
	Cause  string         // for the log
	Err    error
}

// Ask asks the policies of a request, whose response has the fields.
func Ask(chain *policy.Chain, r *policy.Request, fields ...string) (o Outcome) {
	o = Begin(chain, r, fields...)
	chain.Done(r)
	return o
}

// Begin is Ask for a request that goes on until chain.Done.
func Begin(chain *policy.Chain, r *policy.Request, fields ...string) (o Outcome) {
	chain.Begin(r)
	answer, by, err := chain.Judge(r)
	o.Status, o.By, o.Err = 200, by, err
	switch {
	case err != nil:
		o.Status, o.Code = 500, policy.CodeFailed
	case answer != nil:
		o.Status, o.Header, o.Body = answer.Status, answer.Header, string(answer.Body)
		if answer.Refusal != nil {
			o.Code = answer.Refusal.Code
			if o.Status == 0 {
				o.Status = answer.Refusal.Status
			}
		}
		if answer.Cause != nil {
			o.Cause = answer.Cause.Error()
		}
	default:
		for i := 0; i < len(fields); i += 2 {
			o.Header.Add([]byte(fields[i]), []byte(fields[i+1]))
		}
	}
	if chain.Amends() {
		chain.Amend(r, &policy.Response{Status: o.Status, Header: &o.Header})
	}
	return o
}

// Field returns the values of all lines of a field, in order, "|" between them.
func (o *Outcome) Field(name string) string { return fieldOf(o.Header, name) }

func fieldOf(h message.Header, name string) string {
	var values [][]byte
	for i := range h {
		if !h[i].Dropped && message.SameName(h[i].Name, []byte(name)) {
			values = append(values, h[i].Value)
		}
	}
	return string(bytes.Join(values, []byte("|")))
}

// Explanations returns what the policies say of a request, a line each.
func Explanations(chain *policy.Chain, r *policy.Request) (lines []string) {
	r.Trace = func(s policy.Step) { lines = append(lines, fmt.Sprintf("%s %v: %s", s.Name, s.Decision, s.Why)) }
	Ask(chain, r)
	return lines
}

// Allocates0 demands that nothing is allocated for a request that passes, from its
// first policy to its end.
func Allocates0(t *testing.T, chain *policy.Chain, r *policy.Request) {
	t.Helper()
	request, response := *r, message.Header{}
	fields, head := append(message.Header{}, *r.Header...), &policy.Response{Status: 200, Header: &response}
	if n := testing.AllocsPerRun(200, func() {
		*request.Header = append((*request.Header)[:0], fields...)
		r.Header, r.Client, r.Unnamed, r.Host, r.Path = request.Header, request.Client, request.Unnamed, request.Host, request.Path
		r.Query, r.Port, r.Method, r.Secure, r.Tenant, r.ID = request.Query, request.Port, request.Method, request.Secure, request.Tenant, request.ID
		response = append(response[:0], fields...)
		chain.Begin(r)
		if answer, by, err := chain.Judge(r); answer != nil || err != nil {
			t.Fatal(by, answer, err)
		}
		if chain.Amends() {
			chain.Amend(r, head)
		}
		chain.Done(r)
		r.Reset()
	}); n > 0 {
		t.Errorf("%v allocations a request, want 0", n)
	}
}
