package tenants

import (
	_ "embed" // for Sources
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

//go:embed clienttls.go
var clientTLSSource string

// ClientTLSConfig is the section client_tls, of the server and of a tenant: what is
// asked of clients' TLS. It is chosen by the name that a client asks for (SNI), so
// tenants with a domain in common have the same, unless no listener serves both. A request for a tenant over a
// connection that was accepted by other terms gets 421 misdirected_request.
type ClientTLSConfig struct {
	// Lowest version of TLS. Default: "1.2".
	MinVersion string `yaml:"min_version" enum:"1.2,1.3"`

	// Whether clients show a certificate: "none" asks for none, "request" asks, and
	// refuses one that isn't good, "require" refuses clients without one too. What is
	// refused ends with the handshake. Default: none.
	ClientAuth string `yaml:"client_auth" enum:"none,request,require"`

	// Files with the certificates of the authorities that sign those of clients, PEM;
	// client_auth needs at least one. They are taken up when they change. Default:
	// none.
	CAFiles []string `yaml:"ca_files" single:"true"`

	// Files with the authorities' lists of revoked certificates, PEM or DER, complete
	// ones. Where there are any, each authority of a client's certificate needs a list
	// that has not ended. They are taken up when they change, also for connections
	// that are open. Default: none, and revocation isn't looked at.
	CRLFiles []string `yaml:"crl_files" single:"true"`

	// Field by which targets get the client's certificate, as RFC 9440 has it:
	// base64 of its DER between colons. Whoever sends it, it is removed from requests
	// where client_auth isn't none. Empty sends none. Default: Client-Cert.
	CertificateField string `yaml:"certificate_field"`

	// Field with the certificates between the client's and its authority's, where
	// there are such; Client-Cert-Chain is the name in RFC 9440. Likewise removed from
	// requests. Default: none, and it isn't sent.
	ChainField string `yaml:"chain_field"`

	// Whether requests that have come without TLS are served although client_auth is
	// require: on a listener without TLS, or from a load balancer that has ended TLS
	// itself. If false they get 421 misdirected_request. Default: false.
	AllowWithoutTLS bool `yaml:"allow_without_tls"`
}

// The values of ClientTLSConfig.ClientAuth.
const (
	ClientAuthNone    = "none"
	ClientAuthRequest = "request"
	ClientAuthRequire = "require"
)

// DefaultClientTLS is what the server's section is laid over, and what a tenant's
// is where neither says otherwise.
func DefaultClientTLS() ClientTLSConfig {
	return ClientTLSConfig{MinVersion: "1.2", ClientAuth: ClientAuthNone, CertificateField: "Client-Cert"}
}

// Equal compares all keys.
func (c *ClientTLSConfig) Equal(other *ClientTLSConfig) bool {
	return c.SameTerms(other) && c.CertificateField == other.CertificateField && c.ChainField == other.ChainField &&
		c.AllowWithoutTLS == other.AllowWithoutTLS
}

// SameTerms compares what a handshake depends on.
func (c *ClientTLSConfig) SameTerms(other *ClientTLSConfig) bool {
	return c.MinVersion == other.MinVersion && c.ClientAuth == other.ClientAuth &&
		slices.Equal(c.CAFiles, other.CAFiles) && slices.Equal(c.CRLFiles, other.CRLFiles)
}

// Check reports what is wrong with the section, but for its files. written tells
// which keys the file has in it.
func (c *ClientTLSConfig) Check(r settings.Reporter, written func(field any) bool) {
	switch c.ClientAuth {
	case ClientAuthNone:
		if len(c.CAFiles) > 0 && written(&c.CAFiles) {
			r.Errorf(&c.CAFiles, "ca_files are set, and client_auth is none, expected request or require with them")
		}
	case ClientAuthRequest, ClientAuthRequire:
		if len(c.CAFiles) == 0 {
			r.Errorf(&c.ClientAuth, "client_auth is %s without ca_files, expected the authorities whose certificates are good", c.ClientAuth)
		}
	}
	if len(c.CRLFiles) > 0 && len(c.CAFiles) == 0 {
		r.Errorf(&c.CRLFiles, "crl_files are set without ca_files, expected the authorities that the lists are of")
	}
	checkField(r, &c.CertificateField, "certificate_field")
	checkField(r, &c.ChainField, "chain_field")
	if c.ChainField != "" && message.SameName([]byte(c.ChainField), []byte(c.CertificateField)) {
		r.Errorf(&c.ChainField, "chain_field is %q as certificate_field is, expected another one", c.ChainField)
	}
}

// MaxFieldName bounds the names of fields that the gateway writes, in bytes.
const MaxFieldName = 63

func checkField(r settings.Reporter, name *string, key string) {
	switch field := []byte(*name); {
	case *name == "":
	case !message.IsToken(field) || len(field) > MaxFieldName:
		r.Errorf(name, "%s %q is not a field's name of at most %d bytes, expected one like X-Client-Cert", key, *name, MaxFieldName)
	case message.Identify(field) != message.Unknown:
		r.Errorf(name, "%s %q is a field that the gateway looks after by itself, expected another one", key, *name)
	}
}

// Hosts are those that the tenant is matched by, as route.CanonicalDomain has them;
// "" is any that no tenant names.
func (c *Config) Hosts() []string {
	if len(c.Domains) == 0 {
		return []string{""}
	}
	list := make([]string, 0, len(c.Domains))
	for _, domain := range c.Domains {
		if host, err := route.CanonicalDomain(domain); err == nil {
			list = append(list, host)
		}
	}
	return list
}

// CheckTerms reports tenants that have a host at a listener in common with one before
// them, and ask for something else of it: which of them a client wants isn't known
// when it connects.
func CheckTerms(list []Config, own func(index int) settings.Reporter) {
	first := map[string]map[string]int{} // by host, and by listener: "" is of those that are bound to none
	for i := range list {
		t := &list[i]
		for _, host := range t.Hosts() {
			if first[host] == nil {
				first[host] = map[string]int{}
			}
			if at := t.otherTerms(list, first[host]); at >= 0 {
				name := "every host that no tenant names"
				if host != "" {
					name = "the host " + host
				}
				own(i).Errorf(&t.ClientTLS, "tenant %q asks for other TLS (min_version, client_auth, ca_files, crl_files) than tenant %q, which has %s too, expected the same: a path isn't known when a client connects", t.Name, list[at].Name, name)
				break
			}
			for _, listener := range t.atListeners() {
				if _, taken := first[host][listener]; !taken {
					first[host][listener] = i
				}
			}
		}
	}
}

// atListeners are those that the tenant is bound to; "" is all.
func (c *Config) atListeners() []string {
	if len(c.Listeners) == 0 {
		return []string{""}
	}
	return c.Listeners
}

// otherTerms finds one of the tenants with a host that asks for other terms at a
// listener that this one is served at too; -1 is none.
func (c *Config) otherTerms(list []Config, with map[string]int) (index int) {
	index = -1
	for listener, at := range with {
		shared := listener == "" || len(c.Listeners) == 0 || slices.Contains(c.Listeners, listener)
		if shared && !c.ClientTLS.SameTerms(&list[at].ClientTLS) && (index < 0 || at < index) {
			index = at
		}
	}
	return index
}
