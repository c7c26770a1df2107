package clients

import (
	"errors"
	"net"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/test/pooled"
)

// keptFields are what pooled values keep on purpose: memory of which nothing is
// read before it is written anew. Slices of them are empty, unless their owner
// writes them from the start.
var keptFields = map[string]string{
	"stream.req.Request.Message.Header": "empty",
	"stream.body.trailer":               "empty",
	"stream.body.raw":                   "empty",
	"stream.pump.Out":                   "empty",
}

// TestStreamForgetsEverything is the same for HTTP/1's streams.
func TestStreamForgetsEverything(t *testing.T) {
	t.Parallel()
	s := new(http1Stream)
	if filled := pooled.FillLarge(t, s, 1<<20, errors.New("x"), &net.TCPConn{}, &client{}, new(http1.Reader)); filled < 40 {
		t.Errorf("only %d fields were filled", filled)
	}
	s.reset()
	for _, left := range pooled.Left("stream", s, keptFields) {
		t.Errorf("after reset, %s", left)
	}
	if cap(s.pump.Out) > 64<<10 {
		t.Errorf("the pump keeps %d bytes", cap(s.pump.Out))
	}
}
