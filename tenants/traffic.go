package tenants

import (
	_ "embed" // for Sources
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed traffic.go
var trafficSource string

// RequestLimitsConfig is the section request_limits, of the server and of a tenant.
type RequestLimitsConfig struct {
	// Largest request body; beyond, 413. 0 is the default: 10MiB. For a tenant it
	// may be more or less than for the others.
	MaxBodySize settings.Size `yaml:"max_body_size"`

	// Largest request line and header section together; beyond, 431. It is
	// also the memory that a connection may take for them. 0 is the default:
	// 32KiB. Since it is read before the tenant is known, a tenant's can only be
	// less than the server's.
	MaxHeaderSize settings.Size `yaml:"max_header_size"`

	// Largest request target; beyond, 414. 0 is the default: 8KiB. A tenant's can
	// only be less than the server's.
	MaxURLSize settings.Size `yaml:"max_url_size"`
}

// CompressionConfig is the section compression, of the server and of a tenant.
type CompressionConfig struct {
	// Whether responses are compressed for clients that accept one of encodings.
	// Default: false.
	Enabled bool `yaml:"enabled"`

	// Codings that are offered: zstd, br (brotli) and gzip. A client gets the one that it
	// prefers, and of those that it prefers equally the first that stands here. Default:
	// zstd, br, gzip.
	Encodings []string `yaml:"encodings" single:"true"`

	// Level from 1, the fastest, to 9, the smallest. zstd and br go no further than 5,
	// beyond which they take far more memory. Default: 5.
	Level int `yaml:"level" min:"1" max:"9"`

	// Media types that are compressed. Default: text/html, text/css,
	// text/javascript, text/plain, application/json, application/xml.
	ContentTypes []string `yaml:"content_types"`

	// Smallest response that is compressed, where its length is known: less gains
	// little or nothing. Default: 256B.
	MinSize settings.Size `yaml:"min_size"`
}

// ClientTimeoutsConfig is the section client_timeouts of a tenant: how slow its
// clients may be once the tenant of their request is known.
type ClientTimeoutsConfig struct {
	// Longest pause within a request body. Then 408. Default: that of
	// server.timeouts.
	BodyIdle settings.Duration `yaml:"body_idle"`

	// Longest time in which a client takes nothing of its response. Then the
	// connection is cut. Default: that of server.timeouts.
	WriteIdle settings.Duration `yaml:"write_idle"`

	// Least rate, in bytes a second, as server.min_rate; 0 is no bound. Default:
	// that of server.
	MinRate settings.Size `yaml:"min_rate"`
}

// Defaults of request_limits, which a 0 in the file stands for too.
const (
	defaultMaxBody   = 10 << 20
	defaultMaxHeader = 32 << 10
	defaultMaxURL    = 8 << 10
)

// DefaultRequestLimits returns the documented defaults.
func DefaultRequestLimits() RequestLimitsConfig {
	return RequestLimitsConfig{MaxBodySize: defaultMaxBody, MaxHeaderSize: defaultMaxHeader, MaxURLSize: defaultMaxURL}
}

// DefaultCompression returns the documented defaults.
func DefaultCompression() CompressionConfig {
	return CompressionConfig{Level: 5, MinSize: 256, Encodings: []string{"zstd", "br", "gzip"}, ContentTypes: []string{
		"text/html", "text/css", "text/javascript", "text/plain", "application/json", "application/xml",
	}}
}

// Fill puts the values of another section in the place of zeros: the defaults,
// as the earlier Keystone Gateway did, or for a tenant those of the server.
func (c *RequestLimitsConfig) Fill(with RequestLimitsConfig) {
	for _, size := range [][2]*settings.Size{
		{&c.MaxBodySize, &with.MaxBodySize}, {&c.MaxHeaderSize, &with.MaxHeaderSize}, {&c.MaxURLSize, &with.MaxURLSize},
	} {
		if *size[0] == 0 {
			*size[0] = *size[1]
		}
	}
}

// Check reports what is wrong with the section. within are the server's limits
// for a tenant, and nil for the server.
func (c *RequestLimitsConfig) Check(r settings.Reporter, within *RequestLimitsConfig) {
	for _, limit := range []struct {
		size    *settings.Size
		key     string
		highest settings.Size
	}{
		{&c.MaxBodySize, "max_body_size", 1 << 50},
		{&c.MaxHeaderSize, "max_header_size", 16 << 20},
		{&c.MaxURLSize, "max_url_size", 1 << 20},
	} {
		if *limit.size > limit.highest {
			r.Errorf(limit.size, "%s %s is out of range, expected at most %s", limit.key, limit.size, limit.highest)
		}
	}
	if c.MaxURLSize > c.MaxHeaderSize {
		r.Errorf(&c.MaxURLSize, "max_url_size %s is larger than max_header_size %s, which includes it", c.MaxURLSize, c.MaxHeaderSize)
	}
	if within == nil {
		return
	}
	const why = "%s %s is larger than the server's, %s, by which a request is judged before its tenant is known: raise request_limits.%s, and lower it for other tenants"
	if c.MaxHeaderSize > within.MaxHeaderSize {
		r.Errorf(&c.MaxHeaderSize, why, "max_header_size", c.MaxHeaderSize, within.MaxHeaderSize, "max_header_size")
	}
	if c.MaxURLSize > within.MaxURLSize {
		r.Errorf(&c.MaxURLSize, why, "max_url_size", c.MaxURLSize, within.MaxURLSize, "max_url_size")
	}
}

// Check reports what is wrong with the section.
func (c *CompressionConfig) Check(r settings.Reporter) {
	if c.Level < 1 || c.Level > 9 {
		r.Errorf(&c.Level, "level %d is out of range, expected 1 to 9", c.Level)
	}
	if len(c.Encodings) == 0 {
		r.Errorf(&c.Encodings, "encodings is empty, expected some of zstd, br and gzip")
	}
	for i, name := range c.Encodings {
		switch {
		case name != "zstd" && name != "br" && name != "gzip":
			r.Errorf(&c.Encodings[i], "encodings has %.40q, expected zstd, br or gzip", name)
		case slices.Contains(c.Encodings[:i], name):
			r.Errorf(&c.Encodings[i], "encodings has %q twice, expected it once", name)
		}
	}
	for i := range c.ContentTypes {
		media, params, err := mime.ParseMediaType(c.ContentTypes[i])
		if err != nil || len(params) > 0 || !strings.Contains(media, "/") {
			r.Errorf(&c.ContentTypes[i], "content type %q is not a media type, expected one like text/html", c.ContentTypes[i])
		}
	}
}

// Check reports what is wrong with the section.
func (c *ClientTimeoutsConfig) Check(r settings.Reporter) {
	for key, field := range map[string]*settings.Duration{"body_idle": &c.BodyIdle, "write_idle": &c.WriteIdle} {
		if field.Std() < 10*time.Millisecond {
			r.Errorf(field, "%s %s is too short, expected at least 10ms", key, field)
		}
	}
}
