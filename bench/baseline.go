//go:build linux

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// fasthttpCommand makes bench a proxy of fasthttp's own parts: what the
// gateway would cost if it did no more than its library does.
const fasthttpCommand = "fasthttp"

func findFasthttp(context.Context, *lab) (string, error) {
	return "fasthttp Server and HostClient, in bench itself", nil
}

func startFasthttp(ctx context.Context, l *lab, w *work) (*target, error) {
	return l.selfPeer(ctx, w, peerFasthttp, fasthttpCommand)
}

// runFasthttp proxies until ctx is done. It is stock: time-outs, hop-by-hop
// fields, two targets in turn; no routing, no forwarded fields, no id, no log.
// Its arguments are those of selfPeer; GOMAXPROCS already says how many cores.
func runFasthttp(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("expected an address, the two of the upstream, and the number of cores")
	}
	clients := make([]*fasthttp.HostClient, 2)
	for i := range clients {
		clients[i] = &fasthttp.HostClient{
			Addr: args[1+i], MaxConns: 20_000, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
			MaxIdleConnDuration: 30 * time.Second, NoDefaultUserAgentHeader: true, MaxResponseBodySize: 64 << 20,
		}
	}
	var turn atomic.Uint32
	server := &fasthttp.Server{
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second,
		MaxRequestBodySize: 10 << 20, ReadBufferSize: 32 << 10,
		NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true,
		Handler: func(c *fasthttp.RequestCtx) {
			dropHopByHop(&c.Request.Header)
			if err := clients[turn.Add(1)%2].Do(&c.Request, &c.Response); err != nil {
				c.Error("the upstream failed", fasthttp.StatusBadGateway)
				return
			}
			dropHopByHop(&c.Response.Header)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe(args[0]) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// dropHopByHop removes what concerns one connection (RFC 9110, section 7.6.1).
func dropHopByHop(header interface{ Del(name string) }) {
	for _, name := range [...]string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Upgrade",
	} {
		header.Del(name)
	}
}
