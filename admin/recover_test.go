package admin

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
)

// A request that panics is answered and logged; here it does for want of a
// server, which no request from outside can bring about.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	a := &API{log: zerolog.New(&log)}
	var ctx fasthttp.RequestCtx
	a.admit(nil)(&ctx)
	if got := ctx.Response.StatusCode(); got != 500 || !strings.Contains(string(ctx.Response.Body()), `"internal_error"`) {
		t.Errorf("got %d %s, want 500 internal_error", got, ctx.Response.Body())
	}
	if !strings.Contains(log.String(), "routes.go") {
		t.Errorf("log %q, want the stack", log.String())
	}
}
