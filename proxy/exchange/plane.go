// Package exchange is the data plane: one request from its arrival to its end,
// whatever the protocol in which it comes. It asks for no version, framing or
// socket of a client: all of that is its Stream's. What the configuration says it
// is given as a Generation, of which a request sees one.
//
//	plane := &exchange.Plane{Current: current, Observers: exchange.Observe(metrics), …}
//	plane.Serve(stream) // once for each request, by any number of goroutines
//
// Read it in the order of a request: exchange (the stages), body and upload (what
// flows to the target), forward (to it), respond, head and local (back), fail
// (every error).
package exchange

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Plane is what all exchanges of the process share. Its exported fields are
// filled in before the first one, and don't change any more.
type Plane struct {
	// Current returns the generation that a request sees.
	Current   func() *Generation
	Observers Observers
	// Draining says that nothing new is accepted.
	Draining func() bool
	Hops     *Hops
	// Challenge answers requests by which an authority has a host's name proved, at
	// paths below ChallengePath; nil is any other. What it is given is only read.
	Challenge func(host, path []byte) []byte
	Log       zerolog.Logger
	Memory    *memory.Process // for its ceiling
	Mirrors   Mirrors

	_                 [64]byte // what every request changes has no line of the cache with what it reads
	inFlight, tunnels atomic.Int64
	panics            atomic.Uint64
	_                 [64]byte
}

// InFlight returns the number of requests under way, and Tunnels how many of
// them have become one.
func (p *Plane) InFlight() int64 { return p.inFlight.Load() }

// Tunnels returns the number of tunnels.
func (p *Plane) Tunnels() int64 { return p.tunnels.Load() }

// Panics returns how often something has panicked, and was recovered.
func (p *Plane) Panics() uint64 { return p.panics.Load() }

// LogPanic counts and logs what a goroutine has recovered from.
func (p *Plane) LogPanic(cause any) {
	p.panics.Add(1)
	p.Log.Error().Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("BUG: a goroutine has panicked, the process goes on")
}

// Generation is what one configuration says to requests. It never changes.
type Generation struct {
	// Entrances are what it says of single listeners, by their numbers.
	Entrances []*Entrance
	Bounds    Bounds          // until a tenant is known
	Identity  message.NameSet // fields that only trusted peers may send
	Forwarded bool            // Forwarded is written too
	Via       string          // the pseudonym in Via; "" is none
	AddDate   bool            // to responses without
	// HeaderTimeout bounds a request's head, for messages.
	HeaderTimeout settings.Duration
	// Health answers health requests on the public listener; nil answers none.
	Health func(method, path []byte) (status int, body []byte, ok bool)
	// Logging is whether requests are logged, and Sample how many of those that
	// have gone well.
	Logging bool
	Sample  float64
}

// Entrance is what a generation says to requests that come in by one listener.
type Entrance struct {
	Name      string // the listener's; "" where it has none
	Table     *route.Table[*Tenant]
	Terms     *terms.Names // of its clients' TLS, those of the tenants in Table
	Trusted   network.Set  // peers whose forwarded fields are believed
	TrustUnix bool         // and those on Unix sockets
	Redirect  *Redirect    // nil: requests are served
	AltSvc    []byte       // what answers over the gateway's own TLS say of HTTP/3 (RFC 7838); nil: nothing
}

// Pool is a pool of a tenant, with what its requests are held to.
type Pool struct {
	*upstream.Pool
	Timeouts upstream.Timeouts
	Key      *affinity.Key    // what its balancer goes by; nil: nothing of the request
	Sticky   *affinity.Sticky // who has been at which target; nil: it doesn't matter

	mirrors atomic.Int64 // copies of requests to it that are under way
}

// Tenant is one tenant, compiled.
type Tenant struct {
	Name         string
	Logged       []byte // members of the access log: its name and match
	Config       *tenants.Config
	Pool         *upstream.Pool // the default one; nil without
	Pools        []*Pool        // all, as tenants.Config.AllPools has them
	Default      *Pool          // the default one too, where requests belong to single targets of it; else nil
	NamesPools   bool           // the section has pools: there may be others than the default one
	Stats        *Stats
	Timeouts     upstream.Timeouts
	Total        time.Duration
	StripPrefix  string // canonical; "" strips nothing
	PreserveHost bool
	Expects      bool // Expect is the target's to answer
	Spelling     route.Spelling
	Prefix       string        // of path_prefix, in its comparison form
	Policies     *policy.Chain // nil without
	Routes       *routing.Table
	Scripts      *lua.Scripts            // nil without
	Scripted     *tenants.ScriptPolicies // that they ask for
	ScriptsTotal time.Duration
	Bounds       Bounds
	Terms        *terms.Terms       // by which its connections are accepted; nil: any
	WithoutTLS   bool               // they may come without TLS, whatever Terms say
	Certificates *CertificateFields // of clients, that targets get; nil: none
	GRPCWeb      bool               // requests of gRPC-Web become gRPC
	Refuse       *Fault             // what all its requests are answered with; nil: they are served
}
