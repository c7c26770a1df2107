package upstream

import (
	"fmt"
	"time"
)

// Warnings says what the services of a pool ask for that is allowed, and seldom
// meant. of says whose they are, such as: tenant "shop"
func Warnings(of string, services []ServiceConfig) (list []string) {
	drained := len(services) > 0
	for i := range services {
		c := &services[i]
		drained = drained && c.Weight == 0
		address, err := ParseAddress(c.URL)
		if err == nil && address.Secure() {
			list = append(list, c.TLS.warnings(fmt.Sprintf("%q of %s", c.displayName(address), of), time.Now())...)
		}
	}
	if drained {
		list = append(list, "every service of "+of+" has weight 0: its requests are answered with 503")
	}
	return list
}

// MaySpeakHTTP2 reports whether HTTP/2 is spoken with the target, or is where it chooses
// that.
func (c *ServiceConfig) MaySpeakHTTP2() bool {
	address, err := ParseAddress(c.URL)
	return err == nil && (address.HTTP2() || address.Secure() && c.TLS.HTTP2)
}
