// Package load is a load generator for HTTP/1.1 over plain TCP, made to cost
// little beside what it measures: one goroutine, one epoll, no allocation per
// request. It has a closed loop, in which each connection sends its next
// request when its last one is answered, and a constant rate, whose latencies
// count from the moment at which a request was due, so that a server that
// stalls doesn't hide the requests that it kept from being sent.
//
//	result, err := load.Run(ctx, load.Options{
//		Address: address, Requests: [][]byte{[]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
//		Connections: 64, Warmup: time.Second, Duration: 10 * time.Second,
//	})
//	p99 := result.Latency.Quantile(0.99)
//
// It runs on Linux only.
package load
