package lua

import (
	glua "github.com/yuin/gopher-lua"
)

// certificateTable is request.client_certificate: a table of its own each time, or
// nil.
func (c *call) certificateTable(L *glua.LState) glua.LValue {
	of := c.req.Certificate
	if of == nil {
		return glua.LNil
	}
	c.run.Charge(L, 2048+of.Size()+64*(len(of.DNSNames)+len(of.Emails)+len(of.URIs)+len(of.IPs)))
	t := L.CreateTable(0, 1)
	for name, value := range map[string]string{"subject": of.Subject, "issuer": of.Issuer, "serial": of.Serial, "fingerprint": of.Fingerprint} {
		t.RawSetString(name, glua.LString(value))
	}
	t.RawSetString("not_before", glua.LNumber(of.NotBefore.Unix()))
	t.RawSetString("not_after", glua.LNumber(of.NotAfter.Unix()))
	for name, values := range map[string][]string{"dns_names": of.DNSNames, "emails": of.Emails, "uris": of.URIs, "ips": of.IPs} {
		list := L.CreateTable(0, 1)
		for _, value := range values {
			list.Append(glua.LString(value))
		}
		t.RawSetString(name, list)
	}
	return t
}
