package lua_test

import (
	"fmt"
	"testing"
)

// TestRedirects: which statuses a redirect may have, and that a script which asks for
// another one fails.
func TestRedirects(t *testing.T) {
	t.Parallel()
	scripts := load(t, `chi.use(function(request, response)
	response:write("forgotten")
	local status = tonumber(request.query)
	if status then response:redirect("/x", status) else response:redirect(request.query == "empty" and "" or "/x") end
end)`)
	ask := func(query string) (*request, error) {
		r := newRequest()
		r.request.Query = []byte("?" + query)
		return r, scripts.Serve(r, 0)
	}
	for status := 298; status <= 310; status++ {
		r, err := ask(fmt.Sprint(status))
		if fine := status >= 300 && status <= 308 && status != 304; (err == nil) != fine {
			t.Errorf("a redirect with %d: %v", status, err)
		} else if fine && (r.response.Status != status || string(r.response.Local.Value([]byte("Location"))) != "/x" || len(r.response.Body) > 0) {
			t.Errorf("a redirect with %d became %d with %q", status, r.response.Status, r.response.Body)
		}
	}
	if r, err := ask("usual"); err != nil || r.response.Status != 302 {
		t.Errorf("a redirect without a status became %d, %v", r.response.Status, err)
	}
	if _, err := ask("empty"); err == nil {
		t.Error("a redirect leads nowhere")
	}
}
