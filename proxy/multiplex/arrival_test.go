package multiplex_test

import (
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
)

// arrive decodes a head, name after value.
func arrive(t *testing.T, a *multiplex.Arrival, fields ...string) {
	t.Helper()
	var block []byte
	encoder := hpack.NewEncoder((*appender)(&block))
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	a.Block.Reset(8 << 10)
	var decoder http2.Decoder
	if err := decoder.Decode(block, &a.Block); err != nil {
		t.Fatal(err)
	}
}

type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// TestArrival: a head is judged each time, and known for the first time once; a client
// that waits is told to go on once.
func TestArrival(t *testing.T) {
	t.Parallel()
	good := []string{":method", "POST", ":scheme", "https", ":authority", "a.example", ":path", "/longer"}
	asked := http2.Asked{MaxTarget: 100}
	var a multiplex.Arrival
	arrive(t, &a, append(good, "expect", "100-continue", "priority", "u=1, i")...)
	if first, err := a.Judge(http2.Asked{MaxTarget: 3}); first || err == nil || a.Expects() {
		t.Errorf("too long a target: %t, %v, and it waits: %t", first, err, a.Expects())
	}
	for i := range 2 {
		if first, err := a.Judge(asked); first != (i == 0) || err != nil || !a.Expects() {
			t.Errorf("judgement %d: %t, %v, and it waits: %t", i, first, err, a.Expects())
		}
	}
	if !a.Proceed() || a.Proceed() || a.Expects() {
		t.Error("it is not told once to go on")
	}
	if first, err := a.Judge(asked); first || err != nil || a.Expects() {
		t.Errorf("after that: %t, %v, and it waits: %t", first, err, a.Expects())
	}
	if urgency, incremental, ok := a.Priority(); urgency != 1 || !incremental || !ok {
		t.Errorf("the priority is %d, %t, %t", urgency, incremental, ok)
	}
	a.Reset()
	arrive(t, &a, good...)
	if first, err := a.Judge(asked); !first || err != nil || a.Expects() || a.Proceed() {
		t.Errorf("after a reset: %t, %v, and it waits: %t", first, err, a.Expects())
	}
	if _, _, ok := a.Priority(); ok {
		t.Error("it has a priority without the field")
	}
}

// TestMalformed: which heads are no request at all, and which are one that is refused.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields []string
		most   int
		want   bool
	}{
		"a good one":          {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/"}, 100, false},
		"no path":             {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example"}, 100, true},
		"a connection's":      {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/", "connection", "x"}, 100, true},
		"too long a target":   {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/longer"}, 3, false},
		"an expectation":      {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/", "expect", "x"}, 100, false},
		"a wrong length":      {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/", "content-length", "x"}, 100, true},
		"two different hosts": {[]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/", "host", "b.example"}, 100, true},
	} {
		var a multiplex.Arrival
		arrive(t, &a, c.fields...)
		_, err := a.Judge(http2.Asked{MaxTarget: c.most})
		if a.Malformed != c.want || c.want && err == nil {
			t.Errorf("%s: malformed: %t, %v", name, a.Malformed, err)
		}
		if _, ok := err.(message.Violation); err != nil && !ok { //nolint:errorlint // Judge doesn't wrap it
			t.Errorf("%s: %T", name, err)
		}
	}
}
