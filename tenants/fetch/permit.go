package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Permit returns the permission to connect to what a URL names, which its author has
// the right to: a configuration's, say, and not a script's. The error says what is
// wrong with the URL.
func Permit(target string) (Permission, error) {
	if len(target) > MaxURL {
		return Permission{}, fmt.Errorf("it is longer than %d bytes", MaxURL)
	}
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
		return Permission{}, errors.New("it is no URL, expected one like https://id.example.com/path")
	}
	if u.User != nil {
		return Permission{}, errors.New("it has a name or a password before its host, expected none")
	}
	p := Permission{Port: 80}
	if u.Scheme == "https" {
		p.Port = 443
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return Permission{}, fmt.Errorf("its port %.20q is none", text)
		}
		p.Port = uint16(port)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		addr = addr.Unmap().WithZone("")
		p.Network = netip.PrefixFrom(addr, addr.BitLen())
		return p, nil
	}
	if !isHost(u.Host) {
		return Permission{}, fmt.Errorf("its host %.60q is none", u.Host)
	}
	p.Name = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	return p, nil
}
