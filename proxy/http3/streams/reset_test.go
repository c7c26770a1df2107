package streams

import (
	"errors"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/pooled"
)

// keptFields are what pooled streams keep on purpose: memory of which nothing is read
// before it is written anew, and what is made once.
var keptFields = map[string]string{
	"stream.arrival.Block.bytes":                    pooled.Empty,
	"stream.arrival.Block.fields":                   pooled.Empty,
	"stream.arrival.Request.Request.Message.Header": pooled.Empty,
	"stream.arrival.Request.cookies":                pooled.Empty,
	"stream.body.s":                                 "the stream itself",
	"stream.body.trailer":                           pooled.Empty,
	"stream.body.block.bytes":                       pooled.Empty,
	"stream.body.block.fields":                      pooled.Empty,
	"stream.in":                                     "its own reset, which the stream's release calls before",
	"stream.decoder":                                "memory of which nothing is read before it is written anew",
	"stream.charge":                                 "ended when the stream leaves",
	"stream.head":                                   pooled.Empty,
	"stream.out":                                    pooled.Empty,
	"stream.serveFn":                                "of the stream itself",
	"stream.goneFn":                                 "likewise",
}

// nobody is told to give up.
type nobody struct{}

func (nobody) Abort(error) {}

// TestStreamForgetsEverything: nothing of a request is left in a stream that is used
// again.
func TestStreamForgetsEverything(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, keepHead, keepHead + 1, 1 << 20} {
		s := new(stream)
		if filled := pooled.FillLarge(t, s, size, errors.New("x"), nobody{}); filled < 40 {
			t.Errorf("only %d fields were filled", filled)
		}
		s.in.reset()
		s.forget()
		for _, left := range append(pooled.Left("stream", s, keptFields), pooled.Left("in", &s.in, map[string]string{"in.peek": "written before it is read"})...) {
			t.Errorf("after reset, %s", left)
		}
		if kept := cap(s.head); kept > 0 != (size <= keepHead) {
			t.Errorf("of %d bytes the head keeps %d", size, kept)
		}
		if kept := cap(s.out); kept > 0 != (size <= keepOut) {
			t.Errorf("of %d bytes what is to be sent keeps %d", size, kept)
		}
	}
}
