package admin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestACME shows what becomes of a name whose authority can't be reached.
func TestACME(t *testing.T) {
	t.Parallel()
	g := start(t, "tls: {enabled: true}\ncertificates: {acme: {ca: \"https://"+port.Reserve(t)+"/directory\"}}\n"+
		"tenants: [{name: shop, domains: [shop.example.com], tls: auto, services: [{url: \"http://127.0.0.1:1\"}]}]\n")
	type name struct {
		Name, Tenant, State, Error string
		Failures                   int
		Next                       *time.Time
		NotAfter                   *time.Time `json:"not_after"`
	}
	var is name
	for deadline := time.Now().Add(patience); is.State != "failing"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want it to fail", is)
		}
		var view struct{ ACME []name }
		if err := json.Unmarshal([]byte(g.ask("GET", "/certificates").text), &view); err != nil || len(view.ACME) != 1 {
			t.Fatalf("%+v, want one name", view)
		}
		is = view.ACME[0]
	}
	if is.Name != "shop.example.com" || is.Tenant != "shop" || is.Failures != 1 || is.NotAfter != nil || is.Next == nil || !strings.Contains(is.Error, "refused the connection") {
		t.Errorf("%+v", is)
	}
	metrics := g.ask("GET", "/metrics").text
	for _, want := range []string{
		`keystone_acme_names{state="failing"} 1`, `keystone_acme_failures{name="shop.example.com",tenant="shop"} 1`,
		`keystone_acme_next_try_timestamp_seconds{name="shop.example.com",tenant="shop"} `, `keystone_acme_tries_total{result="failed"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
