package upstream

import (
	"maps"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// Bounds of the fields that a configuration gives probes.
const (
	maxProbeFields = 32
	maxProbeField  = 8 << 10 // bytes of a value
)

// probeRequest is the head of a target's HTTP probes.
func probeRequest(path string, c *HealthConfig, address Address) string {
	host := c.Host
	if host == "" {
		host = address.Authority
	}
	var b strings.Builder
	b.WriteString("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, usual := range [][2]string{{"User-Agent", "keystone-gateway-probe"}, {"Accept", "*/*"}} {
		if !hasField(c.Headers, usual[0]) {
			b.WriteString(usual[0] + ": " + usual[1] + "\r\n")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		b.WriteString(name + ": " + c.Headers[name] + "\r\n")
	}
	b.WriteString("Connection: close\r\n\r\n")
	return b.String()
}

func hasField(fields map[string]string, name string) bool {
	for other := range fields {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// checkProbeFields reports what would make another request of a probe. It never
// tells a value, which may be a secret.
func checkProbeFields(r settings.Reporter, c *HealthConfig) {
	if c.Host != "" && !validAuthority(c.Host) {
		r.Errorf(&c.Host, "host %q is not one, expected a name or an address, with a port if need be, such as shop.example.com or [::1]:8080", c.Host)
	}
	if len(c.Headers) > maxProbeFields {
		r.Errorf(&c.Headers, "headers has %d fields, expected at most %d", len(c.Headers), maxProbeFields)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !message.IsToken([]byte(name)) {
			r.Errorf(&c.Headers, "headers has %q, which is not a field's name, expected one like Authorization", name)
			continue
		}
		switch strings.ToLower(name) {
		case "host":
			r.Errorf(&c.Headers, "headers has %s, expected it as health.host", name)
		case "connection", "content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer", "keep-alive", "proxy-connection":
			r.Errorf(&c.Headers, "headers has %s, which a probe can't send, expected fields that don't concern the connection or a body", name)
		}
		for other := range c.Headers {
			if other > name && strings.EqualFold(other, name) {
				r.Errorf(&c.Headers, "headers has both %s and %s, expected each field once", name, other)
			}
		}
		checkProbeValue(r, c, name)
	}
}

func checkProbeValue(r settings.Reporter, c *HealthConfig, name string) {
	value := c.Headers[name]
	bad := strings.IndexFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
	switch {
	case bad >= 0:
		r.Errorf(&c.Headers, "the value of headers.%s has a control character at byte %d, expected visible characters and spaces", name, bad)
	case len(value) > maxProbeField:
		r.Errorf(&c.Headers, "the value of headers.%s is %d bytes long, expected at most %d", name, len(value), maxProbeField)
	}
}

// validAuthority accepts "host", "host:port" and "[IPv6]:port".
func validAuthority(s string) bool {
	if strings.ContainsAny(s, "/?#@\\ ") {
		return false
	}
	a, err := ParseAddress("http://" + s)
	return err == nil && a.Network == "tcp" && a.BasePath == ""
}
