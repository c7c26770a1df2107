package routing

import (
	"maps"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

func (c *RespondConfig) check(r settings.Reporter) {
	if c.Status < 200 || c.Status > 599 {
		r.Errorf(&c.Status, "status %d is out of range, expected 200 to 599", c.Status)
	}
	if c.Body != "" && c.File != "" {
		r.Errorf(&c.File, "respond has body and file, expected one of them")
	}
	if len(c.Body) > maxPage {
		r.Errorf(&c.Body, "body of %d bytes is too long, expected at most %d", len(c.Body), maxPage)
	}
	if (c.Body != "" || c.File != "") && (c.Status == 204 || c.Status == 205 || c.Status == 304) {
		r.Errorf(&c.Status, "status %d has no content, expected neither body nor file with it", c.Status)
	}
	if v := []byte(c.ContentType); len(v) > maxValue || !message.IsFieldText(v) || len(message.Trim(v)) != len(v) {
		r.Errorf(&c.ContentType, "content_type %.100q is none, expected one like text/html", v)
	}
	if len(c.Headers) > maxConditions {
		r.Errorf(&c.Headers, "%d fields are too many, expected at most %d", len(c.Headers), maxConditions)
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		value := []byte(c.Headers[name])
		if other := seen[strings.ToLower(name)]; other != "" {
			r.Errorf(&c.Headers, "field %q is %q, the case of letters apart, expected one of them", name, other)
		}
		seen[strings.ToLower(name)] = name
		switch {
		case !message.IsToken([]byte(name)) || len(name) > 128:
			r.Errorf(&c.Headers, "%.64q is not the name of a field, expected one like X-Frame-Options", name)
		case ownedByGateway.Has(message.Identify([]byte(name))) || message.EqualFold([]byte(name), "date"):
			r.Errorf(&c.Headers, "field %q is the gateway's to write, expected others", name)
		case len(value) > maxText || !message.IsFieldText(value) || len(message.Trim(value)) != len(value):
			r.Errorf(&c.Headers, "field %q has the value %.100q, expected one line of at most %d bytes without white space at its ends", name, value, maxText)
		}
	}
}

var ownedByGateway = message.SetOf(message.ContentLength, message.TransferEncoding, message.Connection, message.KeepAlive, message.TE,
	message.Trailer, message.Upgrade, message.ProxyAny, message.HTTP2Settings, message.Via, message.XRequestID, message.XGatewayError)

// Load reads the file that the route names, or finds the directory; see site.Config.Load.
func (c *Config) Load(read func(path string, limit int64) ([]byte, error), directory func(path string) (string, error), r settings.Reporter) {
	if c.Files != nil {
		c.Files.Load(directory, r)
	}
	if c.Respond == nil || c.Respond.File == "" {
		return
	}
	content, err := read(c.Respond.File, maxPage)
	if err != nil {
		r.Errorf(&c.Respond.File, "file %q can't be used: %v", c.Respond.File, err)
	}
	c.Respond.content = content
}
