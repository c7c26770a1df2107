package ip

import (
	"net/netip"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// maxFile bounds a list in a file, in bytes.
const maxFile = 4 << 20

// Load is policy.Loader's.
func (c *Config) Load(read policy.ReadFile, r settings.Reporter) {
	var ok bool
	if c.allowed, c.unix, ok = load(read, r, "allow_file", &c.AllowFile); ok && c.AllowFile != "" && c.allowed == nil && !c.unix {
		r.Errorf(&c.AllowFile, "allow_file %q has no network, expected at least one, a line each", c.AllowFile)
	}
	c.denied, _, _ = load(read, r, "deny_file", &c.DenyFile)
}

// load reads a list, and reports the first line that is wrong.
func load(read policy.ReadFile, r settings.Reporter, key string, path *string) (list []netip.Prefix, unix, ok bool) {
	if *path == "" {
		return nil, false, true
	}
	content, err := read(*path, maxFile)
	if err != nil {
		r.Errorf(path, "%s %q can't be used: %v", key, *path, err)
		return nil, false, false
	}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		text, _, _ := strings.Cut(line, "#")
		text = strings.TrimSpace(text)
		prefix, ok := network.Parse(text)
		switch {
		case text == "":
		case ok:
			list = append(list, prefix)
		case text == network.Unix && key == "allow_file":
			unix = true
		default:
			r.Errorf(path, "%s %q has %.100q in line %d, which is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7 on each line%s", key, *path, text, number, network.Meant(text))
			return nil, false, false
		}
	}
	return list, unix, true
}
