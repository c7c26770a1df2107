package policytest_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

// BenchmarkEveryday asks what most applications have, of requests that pass.
func BenchmarkEveryday(b *testing.B) {
	for name, list := range map[string]string{
		"headers, ip, rate_limit, cors": "[{headers: {response: {remove: Server, set: {X-Frame-Options: DENY}}}}, {ip: {deny: 10.66.0.0/16}}, {rate_limit: {rate: 1000000/s, burst: 1000000000}}, {cors: {origins: 'https://app.example.com'}}]",
		"rate_limit":                    "[{rate_limit: {rate: 1000000/s, burst: 1000000000}}]",
		"rate_limit without fields":     "[{rate_limit: {rate: 1000000/s, burst: 1000000000, headers: false}}]",
		"concurrency":                   "[{concurrency: {max: 100, by: client}}]",
		"cors":                          "[{cors: {origins: 'https://app.example.com'}}]",
		"security_headers":              "[{security_headers: {}}]",
		"csrf":                          "[{csrf: {}}]",
	} {
		b.Run(name, func(b *testing.B) {
			chain := policytest.Build(b, list, policy.Deps{})
			r := policytest.Request("GET /path HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b", "192.0.2.1")
			request, fields := *r, append(message.Header{}, *r.Header...)
			var response message.Header
			head := &policy.Response{Status: 200, Header: &response}
			b.ReportAllocs()
			for b.Loop() {
				*request.Header = append((*request.Header)[:0], fields...)
				response = append(response[:0], fields...)
				r.Header, r.Client, r.Host, r.Path, r.Method = request.Header, request.Client, request.Host, request.Path, request.Method
				chain.Begin(r)
				if answer, by, err := chain.Judge(r); answer != nil || err != nil {
					b.Fatal(by, answer, err)
				}
				chain.Amend(r, head)
				chain.Done(r)
				r.Reset()
			}
		})
	}
}
