package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/clients"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// listeners are where clients come in. They outlive snapshots: a reload opens what is
// new, changes what is there while it is open, and has the rest accept no more.
// Connections are their listener's, so that no change of another one touches them.
type listeners struct {
	mu      sync.Mutex
	open    []*entry        // in the order of the configuration
	leaving []*entry        // closed, with connections that are still open
	serve   func(*entry)    // nil before Run
	wait    *sync.WaitGroup // Run's, for what serve begins
	ended   bool
	shared  listener.Tally // of all of them
	secure  *tls.Config    // of those that speak TLS: the same one, which asks for the terms
	quic    *tls.Config    // likewise, over UDP
	until   context.Context
	retired sync.WaitGroup // ports over UDP that are being closed
}

// entry is one listener, and what is in use of its section.
type entry struct {
	*listener.Listener
	config   listener.Config // guarded by listeners.mu
	served   chan struct{}   // closed when it accepts no more
	quic     *listener.QUIC  // the same port over UDP; nil without http3, or until it is free; guarded by listeners.mu, as below
	awaits   bool            // for that port to be free
	retiring int             // how many such ports are being closed
	stop     context.CancelFunc
}

// opened is what a configuration asks for, open.
type opened struct {
	list  []*entry                  // in its order
	fresh []*entry                  // of list: nobody accepts from them yet
	quic  map[*entry]*listener.QUIC // ports over UDP that are new
	from  *Config
}

// openListeners opens what a configuration asks for and isn't open. What fails leaves
// everything as it was.
func (s *Server) openListeners(c *Config) (*opened, error) {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	o := &opened{from: c, quic: map[*entry]*listener.QUIC{}}
	for i := range c.listeners {
		config := &c.listeners[i]
		e := s.listeners.find(config, o.list)
		if e == nil {
			var err error
			if e, err = s.openListener(config, s.listeners.freeNumber(o.fresh)); err != nil {
				o.discard()
				return nil, err
			}
			o.fresh = append(o.fresh, e)
		}
		o.list = append(o.list, e)
		if err := s.openQUIC(o, e, config); err != nil {
			o.discard()
			return nil, err
		}
	}
	return o, nil
}

// find returns the open listener of a section; nil is none. Taken are others'.
func (l *listeners) find(config *listener.Config, taken []*entry) *entry {
	var found *entry
	for _, e := range l.open {
		if listener.Canonical(e.config.Address) != listener.Canonical(config.Address) || slices.Contains(taken, e) {
			continue
		}
		if e.config.Name == config.Name { // there may be several on port 0
			return e
		}
		if found == nil {
			found = e
		}
	}
	return found
}

// called is the name of the listener of a number, or its address where it has none.
func (l *listeners) called(number int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range append(slices.Clone(l.open), l.leaving...) {
		if e.Number() == number {
			return e.config.Called()
		}
	}
	return "" // it is about to be served, or has just gone
}

// freeNumber is one that no open connection tells of.
func (l *listeners) freeNumber(fresh []*entry) int {
	for number := 0; ; number++ {
		has := func(e *entry) bool { return e.Number() == number }
		if !slices.ContainsFunc(l.open, has) && !slices.ContainsFunc(l.leaving, has) && !slices.ContainsFunc(fresh, has) {
			return number
		}
	}
}

func (s *Server) openListener(c *listener.Config, number int) (*entry, error) {
	mode, owner, err := c.Guarded()
	if err != nil {
		return nil, err
	}
	opened, err := listener.Listen(listener.Options{
		Address: c.Address, Number: number, Mode: mode, Owner: owner,
		Shared:  &s.listeners.shared,
		Full:    clients.Refusal(503, "too_many_connections", ""),
		Crowded: clients.Refusal(429, "too_many_connections_from_address", ""),
		Sweeper: s.sweeper, Own: &s.own, Sockets: s.sockets, Purpose: listener.Public,
		Refused:  func(peer netip.Addr, crowded bool) { s.warnRefused(number, peer, crowded) },
		Stranger: func(peer netip.Addr, why error) { s.noHeader(number, peer, why) },
		Settings: *s.listenerSettings(c),
	})
	if err != nil {
		return nil, err
	}
	return &entry{Listener: opened, config: *c, served: make(chan struct{})}, nil
}

// listenerSettings is what a section says of connections.
func (s *Server) listenerSettings(c *listener.Config) *listener.Settings {
	settings := &listener.Settings{
		MaxConnections: c.MaxConnections, MaxPerAddress: c.MaxConnectionsPerAddress, MaxRequests: c.MaxRequestsPerConnection,
		MaxHandshakes: c.MaxHandshakes, HandshakeTimeout: c.HandshakeTimeout.Std(),
		Protocols: c.Speaks(), Exempt: newEntrance(c).Trusts, Introduction: c.ProxyProtocol.Introduction(),
	}
	if c.TLS {
		settings.TLS = s.listeners.secure
	}
	return settings
}

func newEntrance(c *listener.Config) *exchange.Entrance {
	e := &exchange.Entrance{Name: c.Name}
	e.Trusted, e.TrustUnix = network.ParseSet(c.TrustedProxies)
	if !c.RedirectToHTTPS {
		return e
	}
	e.Redirect = &exchange.Redirect{}
	if c.HTTPSPort > 0 {
		e.Redirect.Port = ":" + strconv.Itoa(c.HTTPSPort)
	}
	entries := make([]route.Entry[struct{}], len(c.RedirectExcept))
	for i, prefix := range c.RedirectExcept {
		entries[i] = route.Entry[struct{}]{PathPrefix: prefix}
	}
	if len(entries) > 0 {
		e.Redirect.Except, _ = route.Build(entries) // Check has refused what fails here
	}
	return e
}

// httpsOwn is the port that no URL with https has to say.
const httpsOwn = 443

// httpsPort is what stands behind the host in URLs of the listeners with TLS: the
// port of the first, unless another one has HTTPS's own.
func (o *opened) httpsPort() string {
	first := httpsOwn
	for i := len(o.list) - 1; i >= 0; i-- {
		at, ok := o.list[i].Addr().(*net.TCPAddr)
		switch {
		case !ok || !o.from.listeners[i].TLS:
		case at.Port == httpsOwn:
			return ":443"
		default:
			first = at.Port
		}
	}
	return ":" + strconv.Itoa(first)
}

// entrances are those of a snapshot, by the numbers of listeners.
func (s *Server) entrances(snap *snapshot, o *opened) {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	snap.Entrances = nil
	put := func(e *entry, config *listener.Config) {
		for len(snap.Entrances) <= e.Number() {
			snap.Entrances = append(snap.Entrances, nil)
		}
		entrance := newEntrance(config)
		entrance.Table, entrance.Terms = snap.tables.of(config.Name), snap.terms.At(config.Name)
		entrance.AltSvc = altSvc(e, config)
		if entrance.Redirect != nil && entrance.Redirect.Port == "" {
			entrance.Redirect.Port = o.httpsPort()
		}
		if r := entrance.Redirect; r != nil && r.Port == ":443" {
			r.Port = ""
		}
		snap.Entrances[e.Number()] = entrance
	}
	for _, e := range append(slices.Clone(s.listeners.leaving), s.listeners.open...) { // what is no longer listed may get a last request
		put(e, &e.config)
	}
	for i, e := range o.list {
		put(e, &o.from.listeners[i])
	}
}

// discard closes what has been opened in vain.
func (o *opened) discard() {
	for _, e := range o.fresh {
		_ = e.Close()
	}
	for _, q := range o.quic {
		q.End()
	}
}

// useListeners puts listeners into use, once the snapshot that knows them is.
func (s *Server) useListeners(o *opened) {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range o.list {
		config := &o.from.listeners[i]
		if !slices.Contains(o.fresh, e) {
			s.changeListener(e, config)
		}
		if q := o.quic[e]; q != nil {
			e.quic = q
		}
	}
	gone := slices.DeleteFunc(l.open, func(e *entry) bool { return slices.Contains(o.list, e) })
	l.open = o.list
	for _, e := range gone {
		_ = e.Close()
		s.retireQUIC(e)
	}
	switch {
	case l.ended:
		o.discard()
	case l.serve != nil: // else Run will
		for _, e := range o.fresh {
			l.serve(e)
		}
		for _, e := range o.list {
			s.useQUIC(e, o.quic[e])
		}
		l.leaving = append(l.leaving, gone...)
		for _, e := range gone {
			l.wait.Go(func() { s.retireListener(e) })
		}
	}
}

func (s *Server) changeListener(e *entry, config *listener.Config) {
	before := e.config
	e.config = *config
	e.Use(s.listenerSettings(config))
	if before.Mode == config.Mode && before.Owner == config.Owner {
		return
	}
	mode, owner, err := config.Guarded()
	if err == nil {
		err = e.Guard(mode, owner)
	}
	if err != nil {
		s.log.Error().Str("listener", config.Called()).Str("error", cause.Text(err)).Msg("the listener's socket keeps its mode and owner")
	}
}

// retireListener ends the connections of a listener that accepts no more: after their
// requests, or when the drain time-out has passed.
func (s *Server) retireListener(e *entry) {
	<-e.served
	s.drainClients(e.Listener, func() bool {
		open, _, _ := e.Stats()
		return open == 0
	})
	e.stop()
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	s.listeners.leaving = slices.DeleteFunc(s.listeners.leaving, func(other *entry) bool { return other == e })
}

// serveListeners accepts until ctx is done and endListeners has been called, and
// returns when nobody accepts any more.
func (s *Server) serveListeners(ctx context.Context, wait *sync.WaitGroup) {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wait, l.until = wait, ctx
	l.serve = func(e *entry) {
		background, stop := context.WithCancel(ctx)
		e.stop = stop
		wait.Go(func() {
			if err := e.WakeSleepers(background); err != nil {
				s.log.Warn().Str("error", cause.Text(err)).Msg("idle connections take more memory than they need")
			}
		})
		wait.Go(func() {
			defer close(e.served)
			_ = s.fast.Serve(e.Wrapped(s.clients.Connect)) // its only error is that it has been closed
		})
	}
	for _, e := range l.open {
		l.serve(e)
		s.useQUIC(e, e.quic)
	}
}

// endListeners has nobody accept any more.
func (s *Server) endListeners() {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, e := range l.open {
		_ = e.Close()
		s.retireQUIC(e)
	}
}

// awaitEnd returns when nobody accepts any more. serveListeners and endListeners have
// been called.
func (l *listeners) awaitEnd() {
	l.mu.Lock()
	open := slices.Clone(l.open)
	l.mu.Unlock()
	for _, e := range open {
		<-e.served
	}
}

// Addr returns the address of the first listener.
func (s *Server) Addr() net.Addr { return s.Addrs()[0] }

// Addrs returns the addresses of all listeners, in the order of the configuration.
func (s *Server) Addrs() []net.Addr {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	list := make([]net.Addr, 0, len(s.listeners.open))
	for _, e := range s.listeners.open {
		list = append(list, e.Addr())
	}
	return list
}

// warnRefused logs refused connections, at most one every 10 seconds.
func (s *Server) warnRefused(at int, peer netip.Addr, crowded bool) {
	const pause = int64(10 * time.Second)
	now, last := socket.Nanotime(), s.warned.Load()
	if last != 0 && now-last < pause || !s.warned.CompareAndSwap(last, now) {
		return
	}
	_, _, refused := s.listeners.shared.Stats()
	s.log.Warn().Str("listener", s.listeners.called(at)).Str("peer", peer.String()).Bool("limit_per_address", crowded).Uint64("refused_so_far", refused).
		Msg("connections are refused: a limit is reached")
}
