//go:build linux

package main

import (
	"context"
	"net/netip"
)

// peer is a proxy that can be measured: the gateway, or one it is compared
// with.
type peer struct {
	name string

	// scripts says whether it can do work with a script.
	scripts bool

	// bare says that it does less than the work on purpose: it only passes
	// requests on, as a baseline. Its work isn't checked.
	bare bool

	// find returns its version; an error says what to install. It may build
	// the peer, once for a lab.
	find func(ctx context.Context, l *lab) (version string, err error)

	// start runs it, and returns when it answers.
	start func(ctx context.Context, l *lab, w *work) (*target, error)
}

// work is what a proxy has to do, the same for each peer: to send requests to
// one of the upstream's two addresses in turn, over kept connections, with
// X-Forwarded-For, -Host and -Proto and a request id in both directions, and
// to write a line of JSON for each, buffered, to the access log.
type work struct {
	// hosts is how many there are, named by hostName. All lead to upstream.
	hosts int

	upstream *upstream

	// apart gives each host a pool of its own, as a tenant of the gateway has
	// one, with connections that no other uses; it is for what depends on how
	// many there are (start, reload). If not, all hosts share one pool, as one
	// tenant's do. Peers for which that is nothing to configure ignore it.
	apart bool

	// secure is where TLS is spoken besides; nil is nowhere.
	secure *secured

	// http2 is where HTTP/2 is spoken besides, without TLS; not valid is nowhere.
	http2 netip.AddrPort

	// grpc is where calls of gRPC lead to; nil is nowhere.
	grpc *[2]netip.AddrPort

	// script is what a script does besides.
	script script

	// policed is what is done to each request besides.
	policed policed

	// cores is how many processors it may use, 1 or 2. With 1 it is bound to
	// the last one, and the upstream and the load generator to the others.
	cores int
}

// script is a piece of work for peers that run Lua.
type script string

const (
	noScript         script = ""
	middlewareWork   script = "middleware" // one header read, two set, upstream, one set on the response
	scriptAnswerWork script = "answer"     // 6 bytes written by the script, no upstream
)

// target is a peer that is running.
type target struct {
	*process
	address netip.AddrPort

	// admin is where the gateway's admin API answers; no other peer has one.
	admin netip.AddrPort

	// noRequestID says that it has nothing that makes one, and does less than
	// the others.
	noRequestID bool

	// reload makes it read its configuration again, and returns when the new
	// one is in use, or when it has been asked to where that can't be known.
	reload func(ctx context.Context) error
}
