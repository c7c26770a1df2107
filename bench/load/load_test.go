//go:build linux

package load_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

func serve(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String())
}

func get(path string) []byte { return []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n") }

// runUntil runs for longer and longer, until the result has enough in it: a busy
// machine may have no time for that in a short run.
func runUntil(t *testing.T, o load.Options, enough func(*load.Result) bool) *load.Result {
	t.Helper()
	for ; ; o.Duration *= 2 {
		result, err := load.Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if enough(result) || o.Duration > time.Minute {
			return result
		}
	}
}

// TestRun counts each kind of answer once for each request that was sent.
func TestRun(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		switch r.URL.Path {
		case "/plain":
			_, _ = io.WriteString(w, "hello")
		case "/chunked":
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "end")
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/closed":
			w.Header().Set("Connection", "close")
			http.Error(w, "no", http.StatusForbidden)
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	})
	tests := []struct {
		name     string
		requests [][]byte
		status   int // by its first digit; 0 wants failures alone
	}{
		{"content length", [][]byte{get("/plain")}, 2},
		{"chunked", [][]byte{get("/chunked")}, 2},
		{"no content", [][]byte{get("/empty")}, 2},
		{"closed after each", [][]byte{get("/closed")}, 4},
		{"in turn", [][]byte{get("/plain"), get("/chunked"), get("/empty")}, 2},
		{"large request", [][]byte{[]byte("POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("b", 200_000))}, 2},
		{"cut", [][]byte{get("/cut")}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			result := runUntil(t, load.Options{
				Address: address, Requests: test.requests, Connections: 4, Duration: 150 * time.Millisecond,
			}, func(r *load.Result) bool { return r.Answered()+r.Failed > 0 })
			if test.status == 0 {
				if result.Failed == 0 || result.Answered() != 0 || result.Reason == nil {
					t.Errorf("got %d failures (%v), %d answers, want failures alone", result.Failed, result.Reason, result.Answered())
				}
				return
			}
			if result.Failed != 0 || result.Answered() == 0 || result.Statuses[test.status] != result.Answered() {
				t.Errorf("got %d failures (%v), statuses %v, want all %dxx", result.Failed, result.Reason, result.Statuses, test.status)
			}
		})
	}
}

// TestRunRate demands that requests are sent when they are due, and that a
// stall shows in the latency of those that it has kept from being sent.
func TestRunRate(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {
		if served.Add(1) == 50 {
			time.Sleep(200 * time.Millisecond)
		}
	})
	result, err := load.Run(context.Background(), load.Options{
		Address: address, Requests: [][]byte{get("/")}, Connections: 1, Rate: 500, Duration: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := result.Answered(); n != 500 || result.Failed+result.Unsent != 0 {
		t.Errorf("%d requests were answered, %d failed and %d were not sent; 500 were due", n, result.Failed, result.Unsent)
	}
	if p90 := result.Latency.Quantile(0.9); p90 < 50*time.Millisecond {
		t.Errorf("p90 is %v: a stall of 200ms should have delayed a fifth of the requests", p90)
	}
}

// TestRunRateLosesNone demands that requests that were in flight at the end, or
// due and without a connection, are told of.
func TestRunRateLosesNone(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	result, err := load.Run(context.Background(), load.Options{
		Address: address, Requests: [][]byte{get("/")}, Connections: 3, Rate: 100, Duration: 100 * time.Millisecond, Timeout: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Failed < 3 || result.Failed+result.Unsent != 10 {
		t.Errorf("%d requests failed and %d were not sent, of 10 that no one answers", result.Failed, result.Unsent)
	}
}

// TestRunTimeout demands that a server that never answers doesn't hold a run.
func TestRunTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	result := runUntil(t, load.Options{
		Address: address, Requests: [][]byte{get("/")}, Connections: 2, Duration: 350 * time.Millisecond, Timeout: 50 * time.Millisecond,
	}, func(r *load.Result) bool { return r.Failed >= 2 })
	if result.Failed < 2 || result.Answered() != 0 {
		t.Errorf("got %d failures and %d answers, want at least 2 and 0", result.Failed, result.Answered())
	}
}

func TestRunCancelled(t *testing.T) {
	t.Parallel()
	address := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := load.Run(ctx, load.Options{Address: address, Requests: [][]byte{get("/")}, Connections: 1, Duration: time.Minute}); err == nil {
		t.Error("a cancelled run has ended without an error")
	}
}

func TestRunOptions(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddrPort("127.0.0.1:1")
	for name, o := range map[string]load.Options{
		"no requests":    {Address: address, Connections: 1},
		"no connections": {Address: address, Requests: [][]byte{get("/")}},
		"no address":     {Requests: [][]byte{get("/")}, Connections: 1},
		"IPv6":           {Address: netip.MustParseAddrPort("[::1]:1"), Requests: [][]byte{get("/")}, Connections: 1},
	} {
		if _, err := load.Run(context.Background(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var low, h load.Histogram
	for i := range 1000 {
		low.Add(time.Duration(i+1) * time.Microsecond)
		h.Add(time.Duration(i+1) * time.Millisecond)
	}
	h.Merge(&low)
	h.Add(-1)
	for _, test := range []struct {
		q    float64
		want time.Duration
	}{{0.25, 500 * time.Microsecond}, {0.5, time.Millisecond}, {0.75, 500 * time.Millisecond}, {0.99, 980 * time.Millisecond}, {1, time.Second}} {
		if got := h.Quantile(test.q); got < test.want*99/100 || got > test.want*103/100 {
			t.Errorf("quantile %v is %v, want %v within 3 %%", test.q, got, test.want)
		}
	}
	if h.Count() != 2001 || h.Max() != time.Second {
		t.Errorf("got %d durations up to %v, want 2001 up to 1s", h.Count(), h.Max())
	}
	if mean := h.Mean(); mean < 250*time.Millisecond || mean > 251*time.Millisecond {
		t.Errorf("the mean is %v, want 250.25ms", mean)
	}
	var empty load.Histogram
	if empty.Quantile(0.5) != 0 || empty.Mean() != 0 {
		t.Error("an empty histogram has durations")
	}
}

// TestBody demands that every request is followed by the whole body, on kept
// connections too.
func TestBody(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789", 100_000)
	var wrong atomic.Int64
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
			wrong.Add(1)
		}
	})
	head := func(path string) []byte {
		return []byte("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	}
	runs := int64(0)
	result := runUntil(t, load.Options{
		Address: address, Requests: [][]byte{head("/a"), head("/b")}, Body: []byte(body), Connections: 2, Duration: 200 * time.Millisecond,
	}, func(r *load.Result) bool { runs++; return r.Answered() >= 4 })
	if err := result.Err(); err != nil {
		t.Error(err)
	}
	if result.Answered() < 4 {
		t.Errorf("%d requests were answered, expected several on each connection", result.Answered())
	}
	// What is on its way at the end is cut off.
	if n := wrong.Load(); n > 2*runs {
		t.Errorf("%d requests came without the whole body", n)
	}
}
