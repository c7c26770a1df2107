package exchange

import (
	"errors"
	"reflect"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/test/pooled"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// keptFields are what pooled values keep on purpose: memory of which nothing is
// read before it is written anew. Slices of them are empty, unless their owner
// writes them from the start.
var keptFields = map[string]string{
	"exchange.Record.Scratch":                        "empty",
	"exchange.values":                                "empty",
	"exchange.hostBuf":                               "written before x.host is made of it",
	"exchange.pathBuf":                               "as hostBuf",
	"exchange.sendBuf":                               "as hostBuf",
	"exchange.idBuf":                                 "identify writes it first",
	"exchange.sent.Own":                              "empty",
	"exchange.affine.scratch":                        "empty",
	"exchange.call.Response.Response.Message.Header": "empty",
	"exchange.call.head":                             "empty",
	"exchange.call.out":                              "empty",
	"exchange.call.header":                           "empty",
	"exchange.call.Body.Body.trailer":                "empty",
	"exchange.call.Body.Body.raw":                    "empty",
	"exchange.script.keyBuf":                         "written before a key is made of it",
	"exchange.response.Header":                       "leads to Local, which is empty",
	"exchange.response.Local":                        "empty",
	"exchange.response.Body":                         "empty",
	"exchange.policed.request.memos":                 "empty",
	"exchange.policed.request.left":                  "empty",
	"exchange.policed.request.text":                  "empty",
	"exchange.policed.request.keyed":                 "empty",
	"exchange.policed.kept":                          "empty",
	"routed.request.text":                            "empty",
	"routed.params.spans":                            "read up to count, which is 0",
	"routed.policed.request.memos":                   "empty",
	"routed.policed.request.left":                    "empty",
	"routed.policed.request.text":                    "empty",
	"routed.policed.request.keyed":                   "empty",
	"routed.policed.kept":                            "empty",
}

// known implement the interfaces that exchanges lead to.
var known = []any{errors.New("x"), new(exchange), grants{}, new(upstream.Target), struct{ Stream }{}, struct{ Body }{}, struct{ policy.Values }{}, new(policy.Request)}

// sunk is an answer that nobody gets.
type sunk struct{ Answer }

func (sunk) Write([]byte) error { return nil }
func (sunk) Flush() error       { return nil }

// grants is an http1.Allowance.
type grants struct{}

func (grants) Acquire(int64) bool { return true }
func (grants) Release(int64)      {}

// TestResetForgetsEverything fills every field of an exchange, however deep it
// lies, and demands that reset leaves none of it: the next request, which may be
// another tenant's, gets the same memory.
func TestResetForgetsEverything(t *testing.T) {
	t.Parallel()
	x := new(exchange)
	filled := pooled.Fill(t, x, known...)
	if filled < 150 {
		t.Errorf("only %d fields were filled", filled)
	}
	x.reset()
	for _, left := range pooled.Left("exchange", x, keptFields) {
		t.Errorf("after reset, %s", left)
	}
	if x.response.Header != &x.response.Local {
		t.Error("the header of the next response isn't its own")
	}
}

// TestRoutedForgetsEverything is the same for what routes have made of an exchange.
func TestRoutedForgetsEverything(t *testing.T) {
	t.Parallel()
	r := new(routed)
	if filled := pooled.Fill(t, r, known...); filled < 30 {
		t.Errorf("only %d fields were filled", filled)
	}
	r.reset()
	for _, left := range pooled.Left("routed", r, keptFields) {
		t.Errorf("after reset, %s", left)
	}
}

// TestResetDropsLargeMemory: what one large request needed isn't kept for all
// the small ones after it.
func TestResetDropsLargeMemory(t *testing.T) {
	t.Parallel()
	x := new(exchange)
	pooled.FillLarge(t, x, 1<<20, known...)
	x.reset()
	for name, size := range map[string]int{
		"values": cap(x.values), "pathBuf": cap(x.pathBuf), "sendBuf": cap(x.sendBuf),
		"script.keyBuf": cap(x.script.keyBuf), "response.Body": cap(x.response.Body),
	} {
		if size > 64<<10 {
			t.Errorf("%s keeps %d bytes", name, size)
		}
	}
	if n := memoryOf(t, &x.call, "head") + memoryOf(t, &x.call, "out"); n > 64<<10 {
		t.Errorf("the call keeps %d bytes", n)
	}
}

func memoryOf(t *testing.T, owner any, name string) int {
	t.Helper()
	f := reflect.ValueOf(owner).Elem().FieldByName(name)
	if !f.IsValid() {
		t.Fatalf("there is no field %s", name)
	}
	return f.Cap()
}

// TestEncoderIsReleased: an encoder in its pool leads to nobody's response, and
// one that is taken from it begins anew, whatever its last response came to.
func TestEncoderIsReleased(t *testing.T) {
	t.Parallel()
	e := acquireEncoder(gzipCoding, gzip.BestSpeed, sunk{})
	e.dirty = true
	if err := e.write([]byte("another tenant's")); err != nil {
		t.Fatal(err)
	}
	e.release()
	if e.to != nil {
		t.Error("a released encoder leads to a response")
	}
	again := acquireEncoder(gzipCoding, gzip.BestSpeed, sunk{})
	defer again.release()
	if again.dirty {
		t.Error("an encoder that was just taken has something to flush")
	}
}
