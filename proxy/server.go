// Package proxy is composition and control plane: the server, its configuration
// and the snapshots that are made of it, reload, watch and drain, the logs. Requests
// are proxy/exchange's, which is given a generation of all that.
//
//	config, err := proxy.Load("config.yaml")
//	server, err := proxy.New(proxy.Options{File: "config.yaml", Config: config, Log: log})
//	err = server.Run(ctx)    // until ctx is done, then it drains
//	result := server.Reload() // meanwhile, from any goroutine
package proxy

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/proxy/clients"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/proxy/tickets"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Server is the gateway.
type Server struct {
	file, dir string
	log       zerolog.Logger
	sweeper   *socket.Sweeper
	registry  *upstream.Registry
	places    *upstream.Places // of connections besides clients
	listeners listeners
	fast      *fasthttp.Server
	access    *accessLog
	logWriter *logs.Writer // nil: Log has another output

	started  *Config  // what the process began with
	besides  *Besides // what each configuration is given
	current  atomic.Pointer[snapshot]
	clients  clients.Server
	plane    exchange.Plane
	leaving  atomic.Bool   // the process is about to stop, and says so
	draining atomic.Bool   // nothing new is accepted
	handed   chan struct{} // closed when another process accepts
	warned   atomic.Int64  // when refused connections were logged last
	counters serverCounters
	unrouted exchange.Stats
	memory   memory.Process // what all requests and connections hold
	pressure *pressure
	loads    *lua.Loads
	health   atomic.Pointer[HealthAnswer]

	certificates  certificates.Store
	secured       *terms.Base // what every handshake has, whatever the terms
	tickets       *tickets.Keys
	ticketFile    tickets.File
	fleet         tickets.Fleet // where tickets are shared
	sharesTickets atomic.Bool
	handshakes    lineBudget // with clients, that failed
	introductions lineBudget // by the PROXY protocol, that failed
	acme          *acme.Manager

	sticky  ownSecret // signs cookies that say who has been at which target
	hops    *exchange.Hops
	own     listener.Own // where the process listens
	sockets *listener.Sockets
	scripts scriptsOptions
	timers  timers                  // of scripts
	stores  map[string]*dictionary  // by tenant; guarded by reloadMu
	keeps   map[string]*policy.Kept // the same
	kept    policy.Kept             // of all tenants
	shared  redis.Shared            // with other gateways

	statsMu sync.Mutex
	stats   map[string]*exchange.Stats // by tenant; guarded by statsMu

	available int64 // what the process may use, in bytes; 0 is not known

	strict   bool
	replaces bool // another process serves until this one does
	checking bool // scripts are loaded to see whether they can be, and then dropped
	reloadMu sync.Mutex
	late     map[string]*loads.Load // by tenant, while useRound puts them into use; guarded by reloadMu
	retries  loads.Retries          // of tenants whose scripts could not be loaded; guarded by reloadMu
	lastLoad atomic.Pointer[ReloadResult]
	refused  atomic.Pointer[inputs] // of the configuration that was refused last; nil if it wasn't
}

// Options says what a server is made from.
type Options struct {
	// File is the configuration file; a reload reads it again.
	File string
	// Config is that file as Load returned it.
	Config *Config
	// Besides, if not nil, is a listener that no file lists.
	Besides *Besides
	// Strict refuses a start, and each reload, with which a tenant could not be
	// served as the configuration asks for. If not, it alone is left with its last
	// good generation, or refused; and a start waits for no tenant's scripts for
	// long while there are others to serve.
	Strict bool
	// Replaces says that another process serves until this one does: there is
	// somebody to wait for all scripts.
	Replaces bool
	// Log receives the gateway's own events.
	Log zerolog.Logger
	// Memory is how many bytes the process may use, of which server.max_memory is
	// a share unless it is set; 0 is not known, and then there is no ceiling.
	Memory int64
	// LogWriter is Log's output, so that what is logged for a tenant can be
	// bounded, and an access log on standard error stays in order with Log. nil
	// is an output that nobody else knows.
	LogWriter *logs.Writer
	// Tickets are what another server's Tickets returned, whose TLS sessions go on.
	Tickets map[int64][]byte
	// Sockets are those of the process's listeners; nil takes none over, and none
	// can be handed on.
	Sockets *listener.Sockets
	// Clock is the time that scripts see; nil is the system's. By another one their
	// timers don't run by themselves: see lua.Scripts.RunDueTimers.
	Clock modules.Clock
	// Env returns environment variables for scripts; nil is os.LookupEnv.
	Env func(name string) (value string, ok bool)
	// Cover is called before each statement of a script; nil is none.
	Cover func(script string, line int)
}

// New builds the server and opens its listener; Run serves. After New, either
// Run or Close must be called.
func New(o Options) (*Server, error) {
	o.Besides.addTo(o.Config)
	s := newServer(&o)
	s.sweeper, s.access, s.logWriter, s.available, s.strict = socket.NewSweeper(), newAccessLog(o.Log), o.LogWriter, o.Memory, o.Strict
	s.plane = exchange.Plane{
		Current:   func() *exchange.Generation { return &s.current.Load().Generation },
		Observers: exchange.Observe(counting{s}, s.access),
		Draining:  s.draining.Load, Hops: s.hops, Log: o.Log, Memory: &s.memory,
	}
	s.acme = acme.New(acme.Options{Log: o.Log, Covered: func(name string) bool { return s.certificates.Current().Has(name) }})
	s.certificates.Issued = s.acme.Find
	s.plane.Challenge = s.acme.Answer
	s.reserve(o.Config)
	s.clients.Plane, s.clients.Memory, s.clients.Open = &s.plane, &s.unrouted.Memory, s.connections
	s.clients.NoHandshake, s.clients.NoHeader, s.clients.Introduction = s.noHandshake, s.noHeader, introductionOf
	s.clients.Awake.Store(clients.WakeShare)
	s.pressure = newPressure(s)
	s.unrouted.Memory.Open(&s.memory)
	s.memory.SetCeiling(s.ceilingOf(o.Config))
	s.loads = lua.NewLoads(s.loadBudget)
	most, ofOne := s.connectionLimits(o.Config)
	s.listeners.shared.Most, s.listeners.shared.OfOne = most, ofOne
	s.listeners.secure = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.byTerms}
	s.listeners.quic = &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{http3.Protocol}, GetConfigForClient: s.byTermsOverQUIC}
	s.replaces = o.Replaces
	s.places = placesBeside(most, descriptors())
	s.sweeper.SetMostPipes(mostPipes(descriptors()))
	s.registry = upstream.NewRegistry(upstream.Options{Log: o.Log, Sweeper: s.sweeper, Places: s.places})
	patience := startPatience
	if s.strict || o.Replaces {
		patience = 0
	}
	s.shared.Use(o.Config.Store.Redis, storePatience) // scripts may use it while they are loaded
	snap, late, err := s.build(o.Config, patience)
	if err != nil {
		go s.discardLaterLoads(late)
		s.registry.Close()
		s.shared.Close()
		return nil, err
	}
	out, err := s.openAccessLog(o.Config)
	var opened *opened
	if err == nil {
		s.access.setOutput(out)
		opened, err = s.openListeners(o.Config)
	}
	if err != nil {
		s.registry.Discard(snap.pools)
		s.registry.Close()
		s.shared.Close()
		s.discardSnapshot(snap)
		go s.discardLaterLoads(late)
		return nil, err
	}
	s.unreserve(o.Config)
	s.swap(snap, opened)
	result := &ReloadResult{At: snap.made}
	result.note(snap)
	s.logProblems(result, "started")
	s.lastLoad.Store(result)
	s.fast = s.clients.Fast()
	if len(late) > 0 {
		go s.useLaterLoads(o.Config, late)
	}
	return s, nil
}

// newServer has what building candidates needs, of a server that serves and of one
// that only checks.
func newServer(o *Options) *Server {
	s := &Server{
		file: o.File, dir: filepath.Dir(o.File), log: o.Log, started: o.Config, besides: o.Besides, sockets: o.Sockets,
		stats: map[string]*exchange.Stats{}, stores: map[string]*dictionary{}, keeps: map[string]*policy.Kept{},
		scripts: newScriptsOptions(o), hops: exchange.NewHops(), handed: make(chan struct{}),
	}
	s.shared.Tell = s.logStore
	s.tickets = tickets.New(time.Now)
	s.tickets.Use(tickets.Inherited(o.Tickets))
	s.secured = s.handshake()
	return s
}

// connections returns the number of open ones.
func (s *Server) connections() int64 {
	open, _, _ := s.listeners.shared.Stats()
	return open
}

// Run serves until ctx is done, or HandOver was called, and what is in progress has
// finished, or the drain time-out has passed. It ends every goroutine it has started.
// Its error is nil.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	order := s.acme.Start(background) // before a client can ask for a name
	wait.Go(func() { s.sweeper.Run(background) })
	wait.Go(func() { s.pressure.run(background) })
	wait.Go(func() { s.certificates.Watch(background, s.logCertificates) })
	wait.Go(order)
	wait.Go(func() { s.certificates.Staple(background, s.logStaple) })
	wait.Go(func() { terms.Watch(background, func() *terms.Set { return s.current.Load().terms }, s.logTerms) })
	wait.Go(func() { s.ticketFile.Watch(background, s.tickets, s.logTickets) })
	wait.Go(func() { s.findTickets(background) })
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		s.access.own.Run(background)
	}()
	s.serveListeners(background, &wait)
	if s.scripts.own {
		s.timers.begin(background)
	}
	select {
	case <-ctx.Done():
		s.announce()
	case <-s.handed:
	}
	s.timers.end()
	s.drain(ctx)
	s.timers.await()
	s.plane.Mirrors.Close()
	s.registry.Close()
	s.shared.Close()
	stop()
	wait.Wait()
	select {
	case <-logged:
	case <-time.After(logPatience): // a reader that has stopped must not keep the process
		s.log.Warn().Msg("the last lines of the access log are lost: its output takes nothing")
	}
	return nil
}

// Close releases what New has opened, if Run is never called.
func (s *Server) Close() {
	s.draining.Store(true)
	s.endListeners()
	s.listeners.retired.Wait()
	s.plane.Mirrors.Close()
	s.registry.Close()
	s.shared.Close()
}

// logPatience bounds the wait for the last lines of the access log.
const logPatience = time.Second

// statsOf returns the counters of a tenant, which survive reloads, but not their
// tenant: see retireScripts.
func (s *Server) statsOf(tenant string) *exchange.Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	if s.stats[tenant] == nil {
		s.stats[tenant] = &exchange.Stats{}
		s.stats[tenant].Memory.Open(&s.memory)
	}
	return s.stats[tenant]
}
