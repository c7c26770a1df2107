package streams

import (
	"errors"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/pooled"
)

// keptFields are what pooled streams keep on purpose: memory of which nothing is read
// before it is written anew, and what is made once.
var keptFields = map[string]string{
	"stream.arrival.Block.bytes":                    "empty",
	"stream.arrival.Block.fields":                   "empty",
	"stream.arrival.Request.Request.Message.Header": "empty",
	"stream.arrival.Request.cookies":                "empty",
	"stream.head":                                   "empty",
	"stream.intake":                                 "its own Reset, which the stream's release calls before",
	"stream.charge":                                 "ended when the stream leaves",
	"stream.serveFn":                                "of the stream itself",
	"stream.wakeup":                                 "empty",
	"stream.wakeup.closed":                          "as it was made",
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
		s.reset()
		for _, left := range pooled.Left("stream", s, keptFields) {
			t.Errorf("after reset, %s", left)
		}
		if kept := cap(s.head); kept > 0 != (size <= keepHead) {
			t.Errorf("of %d bytes the head keeps %d", size, kept)
		}
	}
}
