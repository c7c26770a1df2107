package generator_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
	"github.com/keystone-gateway/keystone-gateway/test/raw"
)

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := generator.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// listen serves each connection by a function of the test's.
var listen = raw.Serve

func serveHTTP(t *testing.T, handler http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// options are those of a short closed loop.
func options(t *testing.T, urls ...string) generator.Options {
	t.Helper()
	o := generator.Options{Connections: 4, Duration: 150 * time.Millisecond, Timeout: time.Minute}
	for _, text := range urls {
		o.Targets = append(o.Targets, generator.Target{URL: parse(t, text)})
	}
	return o
}

// run runs once more where a busy machine left no time to send anything.
func run(t *testing.T, o generator.Options) *generator.Result {
	t.Helper()
	for tries := 1; ; tries++ {
		result, err := generator.Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if result.Requests() > 0 || tries == 50 {
			return result
		}
	}
}

// only demands that all requests ended in one way: with a status, or if that is
// 0 with a kind of failure.
func only(t *testing.T, r *generator.Result, status int, kind generator.Kind) {
	t.Helper()
	if r.Requests() == 0 {
		t.Fatal("no request was sent")
	}
	if status > 0 {
		if r.Statuses[status] != r.Requests() {
			t.Errorf("got statuses %v and failures %v, want %d only", r.Statuses, r.Failures, status)
		}
		return
	}
	if len(r.Statuses) > 0 || len(r.Failures) != 1 || r.Failures[0].Kind != kind || r.Failures[0].First == "" {
		t.Errorf("got statuses %v and failures %v, want failures of kind %v only", r.Statuses, r.Failures, kind)
	}
}
