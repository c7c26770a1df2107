package proxy

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// defaultIdentityFields are the fields besides X-Forwarded-* and Forwarded by
// which proxies, load balancers and content delivery networks tell an
// application who its client is, over what it came and what it asked for.
var defaultIdentityFields = []string{
	"X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "X-Envoy-External-Address",
	"True-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "Fastly-Client-IP", "Fly-Client-IP", "DO-Connecting-IP",
	"X-Azure-ClientIP", "X-Azure-SocketIP", "X-AppEngine-User-IP", "WL-Proxy-Client-IP", "HTTP-Client-IP", "Client-IP",
	"X-Scheme", "X-Url-Scheme", "Front-End-Https", "X-Original-Proto", "X-Original-Host",
	"X-Original-URL", "X-Rewrite-URL", "X-Original-URI",
	"Client-Cert", "Client-Cert-Chain", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-DN", "X-SSL-Client-S-DN",
}

func checkIdentityFields(r settings.Reporter, names []string) {
	for i := range names {
		name := []byte(names[i])
		switch {
		case !message.IsToken(name) || names[i] == "*" || len(name) > message.MaxSetName:
			r.Errorf(&names[i], "identity field %q is not a field's name of at most %d bytes, expected one like X-Real-IP", names[i], message.MaxSetName)
		case message.Identify(name) != message.Unknown:
			r.Errorf(&names[i], "identity field %q is one that the gateway looks after by itself, expected another one", names[i])
		}
	}
}
