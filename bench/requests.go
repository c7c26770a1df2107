//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// requests are what a load generator sends in turn: the same one to many
// hosts, as a browser's script might send it.
type requests struct {
	hosts  []string
	path   string
	upload []byte // a body, sent with POST; none is a GET
	unkept bool   // each on a connection of its own
	fields []string
}

// requestsTo asks all hosts, in an order without a pattern that is the same in
// each run: neighbours in a table would be neighbours in a cache.
func requestsTo(hosts int, path string) requests {
	r := requests{path: path}
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(hosts) { //nolint:gosec // G404: an order is no secret
		r.hosts = append(r.hosts, hostName(i))
	}
	return r
}

// parts are what comes before a request's host and after it, without the body.
func (r *requests) parts() (before, after string) {
	method := "GET"
	if len(r.upload) > 0 {
		method = "POST"
	}
	fields := []string{
		"", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept: application/json", "Accept-Encoding: identity",
	}
	if len(r.upload) > 0 {
		fields = append(fields, "Content-Type: application/octet-stream", fmt.Sprintf("Content-Length: %d", len(r.upload)))
	}
	if r.unkept {
		fields = append(fields, "Connection: close")
	}
	fields = append(fields, r.fields...)
	return method + " " + r.path + " HTTP/1.1\r\nHost: ", strings.Join(append(fields, "", ""), "\r\n")
}

// heads are the requests without their bodies.
func (r *requests) heads() (all [][]byte) {
	before, after := r.parts()
	for _, host := range r.hosts {
		all = append(all, []byte(before+host+after))
	}
	return all
}

// request is the bytes of one GET.
func request(host, path string) []byte {
	r := requests{hosts: []string{host}, path: path}
	return r.heads()[0]
}
