package proxy

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// ListenerView is one listener, as it is now.
type ListenerView struct {
	Config     listener.Config // in use
	Addr       net.Addr
	QUIC       bool // its port is open over UDP too
	Leaving    bool // it is no longer listed, and accepts no more
	Open       int64
	Accepted   uint64
	Refused    uint64
	Handshakes int                           // of TLS, in flight
	Failures   [len(cause.Handshakes)]uint64 // of handshakes, by cause.Handshakes
}

// Called is the listener's name, or its address where it has none.
func (v *ListenerView) Called() string {
	if called := v.Config.Called(); !strings.HasSuffix(called, ":0") {
		return called
	}
	return v.Addr.String() // there may be several on port 0
}

// Listeners returns the listeners, in the order of the configuration, and then those
// that are leaving.
func (s *Server) Listeners() []ListenerView {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]ListenerView, 0, len(l.open)+len(l.leaving))
	for i, all := range [][]*entry{l.open, l.leaving} {
		for _, e := range all {
			v := ListenerView{Config: e.config, Addr: e.Addr(), Leaving: i > 0, Handshakes: e.Handshakes()}
			if e.quic != nil {
				v.QUIC = true
				v.Handshakes += e.quic.Handshakes()
			}
			v.Open, v.Accepted, v.Refused = e.Stats()
			for kind := range v.Failures {
				v.Failures[kind] = e.Failures(kind)
			}
			list = append(list, v)
		}
	}
	return list
}

// named is a listener's name with its address, quoted; or its address alone.
func named(c *listener.Config) string {
	if c.Name == "" {
		return strconv.Quote(c.Address)
	}
	return fmt.Sprintf("%q (%s)", c.Name, c.Address)
}

// listenerChanges says what a reload has done to listeners, a line each.
func listenerChanges(before, after []listener.Config) (list []string) {
	at := func(all []listener.Config, address string) int {
		return slices.IndexFunc(all, func(c listener.Config) bool { return listener.Canonical(c.Address) == listener.Canonical(address) })
	}
	for i := range after {
		switch old := at(before, after[i].Address); {
		case old < 0:
			list = append(list, fmt.Sprintf("listener %s added", named(&after[i])))
		case !reflect.DeepEqual(before[old], after[i]):
			list = append(list, fmt.Sprintf("listener %s changed", named(&after[i])))
		}
	}
	for i := range before {
		if at(after, before[i].Address) < 0 {
			list = append(list, fmt.Sprintf("listener %s removed", named(&before[i])))
		}
	}
	return list
}
