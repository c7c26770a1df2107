package admin

import (
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// listenerView is one listener. All keys are always present.
type listenerView struct {
	Name       string            `json:"name"` // "" where it has none
	Address    string            `json:"address"`
	At         string            `json:"listening_at"`
	State      string            `json:"state"` // "open" or "leaving"
	TLS        bool              `json:"tls"`
	HTTP3      bool              `json:"http3"` // and the port over UDP is open
	Redirects  bool              `json:"redirect_to_https"`
	Trusted    []string          `json:"trusted_proxies"`
	From       []string          `json:"proxy_protocol_from"`
	Open       int64             `json:"connections"`
	Accepted   uint64            `json:"accepted"`
	Refused    uint64            `json:"refused"`
	Handshakes int               `json:"handshakes_in_flight"`
	Failures   map[string]uint64 `json:"handshakes_failed"` // by reason, those that have occurred
}

func (a *API) getListeners(ctx *fasthttp.RequestCtx) {
	list := []listenerView{}
	for _, l := range a.server.Listeners() {
		v := listenerView{
			Name: l.Config.Name, Address: l.Config.Address, At: l.Addr.String(), State: "open", TLS: l.Config.TLS, HTTP3: l.QUIC, Redirects: l.Config.RedirectToHTTPS,
			Trusted: orEmpty(l.Config.TrustedProxies), From: orEmpty(l.Config.ProxyProtocol.From),
			Open: l.Open, Accepted: l.Accepted, Refused: l.Refused, Handshakes: l.Handshakes, Failures: map[string]uint64{},
		}
		if l.Leaving {
			v.State = "leaving"
		}
		for kind, failed := range l.Failures {
			if failed > 0 {
				v.Failures[cause.Handshakes[kind]] = failed
			}
		}
		list = append(list, v)
	}
	reply(ctx, fasthttp.StatusOK, list)
}

// listeners are figures of those that are open.
func (m *scrape) listeners(list []proxy.ListenerView) {
	for _, family := range []struct {
		name, kind, help string
		value            func(*proxy.ListenerView) uint64
	}{
		{"keystone_listener_connections", gauge, "Open connections of a listener.", func(l *proxy.ListenerView) uint64 { return uint64(max(l.Open, 0)) }},
		{"keystone_listener_connections_accepted_total", counter, "Connections that a listener has accepted.", func(l *proxy.ListenerView) uint64 { return l.Accepted }},
		{"keystone_listener_connections_refused_total", counter, "Connections that a listener has refused because of a limit, or for want of a header of the PROXY protocol.", func(l *proxy.ListenerView) uint64 { return l.Refused }},
		{"keystone_listener_handshakes", gauge, "TLS handshakes of a listener that are in flight.", func(l *proxy.ListenerView) uint64 { return uint64(l.Handshakes) }}, //nolint:gosec // G115: as above
	} {
		m.family(family.name, family.kind, family.help)
		for i := range list {
			if !list[i].Leaving {
				m.uint(family.value(&list[i]), label("listener", list[i].Called()))
			}
		}
	}
	m.family("keystone_listener_handshake_failures_total", counter, "TLS handshakes of a listener that have failed, by reason; reasons that have not occurred are left out.")
	for i := range list {
		for kind, failed := range list[i].Failures {
			if failed > 0 && !list[i].Leaving {
				m.uint(failed, label("listener", list[i].Called()), label("reason", cause.Handshakes[kind]))
			}
		}
	}
}
