package proxy

import (
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// tables find the tenants of requests, by the name of the listener that they come in
// by: a tenant that is bound to others isn't in its table. The one of "" has those
// that are bound to none, and is that of all listeners without one of their own.
type tables map[string]*route.Table[*exchange.Tenant]

func (t tables) of(name string) *route.Table[*exchange.Tenant] {
	if own := t[name]; own != nil {
		return own
	}
	return t[""]
}

// boundEntry is a tenant's entry with the listeners that it is bound to; none is all.
type boundEntry struct {
	route.Entry[*exchange.Tenant]
	listeners []string
}

func buildTables(entries []boundEntry) (tables, error) {
	all, err := buildTable(entries, func(*boundEntry) bool { return true }) // so that matches are unique, whatever is bound to what
	if err != nil {
		return nil, err
	}
	built := tables{"": all}
	for i := range entries {
		for _, name := range entries[i].listeners {
			if built[name] != nil {
				continue
			}
			if built[name], err = buildTable(entries, func(e *boundEntry) bool { return len(e.listeners) == 0 || slices.Contains(e.listeners, name) }); err != nil {
				return nil, err
			}
		}
	}
	if len(built) > 1 {
		built[""], err = buildTable(entries, func(e *boundEntry) bool { return len(e.listeners) == 0 })
	}
	return built, err
}

func buildTable(entries []boundEntry, in func(*boundEntry) bool) (*route.Table[*exchange.Tenant], error) {
	list := make([]route.Entry[*exchange.Tenant], 0, len(entries))
	for i := range entries {
		if in(&entries[i]) {
			list = append(list, entries[i].Entry)
		}
	}
	return route.Build(list)
}

// listenersOf are those that a tenant is bound to. One that is refused, and whose
// binding is wrong itself, is bound to none: nobody else gets its requests.
func (c *Config) listenersOf(names []string, refused bool) []string {
	if refused && slices.ContainsFunc(names, func(name string) bool { return !c.hasListener(name) }) {
		return nil
	}
	return names
}

func (c *Config) hasListener(name string) bool {
	return slices.ContainsFunc(c.listenerNames(), func(known string) bool { return known == name })
}

func (c *Config) listenerNames() (names []string) {
	for i := range c.listeners {
		if c.listeners[i].Name != "" {
			names = append(names, c.listeners[i].Name)
		}
	}
	return names
}

// checkBindings reports listeners of tenants that there aren't.
func (c *Config) checkBindings(own func(index int) settings.Reporter) {
	for i := range c.Tenants {
		t := &c.Tenants[i]
		for j := range t.Listeners {
			if !c.hasListener(t.Listeners[j]) {
				own(i).Errorf(&t.Listeners[j], "tenant %q is bound to the listener %q, which isn't there, expected %s", t.Name, t.Listeners[j], expectedName(c.listenerNames()))
			}
		}
	}
}

func expectedName(names []string) string {
	if len(names) == 0 {
		return "one of listeners with this name"
	}
	return "one of " + strings.Join(names, ", ")
}
