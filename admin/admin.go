// Package admin is the admin API: health, tenants, the configuration in use,
// reloads, metrics and profiles, on a listener of its own. It only looks at
// the data plane and asks it to reload; it is never on the path of a request,
// but for the health endpoints that admin.on_public serves there.
//
//	api, err := admin.New(admin.Options{Server: server, Log: log, Version: "1.2.3"})
//	err = api.Run(ctx) // until ctx is done
//
// docs/admin.md is the reference of the API. Read guard for who may ask,
// routes for what can be asked.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Bounds of the admin listener. They are no settings: operators and scrapers
// come nowhere near them.
const (
	maxConnections  = 128
	maxHead         = 16 << 10
	maxBody         = 16 << 10
	readTimeout     = 10 * time.Second // a whole request
	writeTimeout    = 60 * time.Second // a whole response
	idleTimeout     = 15 * time.Second // so that idle connections can't keep others out for long
	shutdownTimeout = 2 * time.Second
)

// Options says what the API is made from.
type Options struct {
	// Server is the data plane that the API shows; its configuration at the
	// time of New gives the listener and the base path.
	Server *proxy.Server
	// Log receives panics and failures of the API itself.
	Log zerolog.Logger
	// Version is reported by health and metrics.
	Version string
}

// API is the admin API.
type API struct {
	server  *proxy.Server
	log     zerolog.Logger
	version string
	started time.Time

	listener *listener.Listener // nil where admin.enabled is false
	sweeper  *socket.Sweeper
	fast     *fasthttp.Server
	conns    listener.Set[*connection]
	address  string // admin.address
	base     string // admin_base_path
	local    bool   // on a Unix socket, which no browser can be led to
	exposed  bool   // reachable from other machines

	public     publicHealth
	scrapeSize atomic.Int64 // bytes of the last answer to /metrics
}

// New opens the listener and installs the answers for admin.on_public; Run
// serves. After New, either Run or Close must be called.
func New(o Options) (*API, error) {
	config := o.Server.Config()
	a := &API{
		server: o.Server, log: o.Log, version: o.Version, started: time.Now(),
		sweeper: socket.NewSweeper(), address: config.Admin.Address, base: config.AdminBasePath,
	}
	o.Server.SetHealthAnswer(a.answerPublic)
	if !config.Admin.Enabled {
		return a, nil
	}
	routes, err := a.routes()
	if err != nil {
		return nil, err
	}
	a.fast = a.newFastServer(routes)
	a.listener, err = listener.Listen(listener.Options{
		Address: a.address, Settings: listener.Settings{MaxConnections: maxConnections}, Sweeper: a.sweeper,
		Own: o.Server.Own(), Sockets: o.Server.Sockets(), Purpose: listener.Operator,
		Mode: 0o600, // without a token, a socket's mode is what guards the API
		Full: []byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open admin.address: %w", err)
	}
	tcp, isTCP := a.listener.Addr().(*net.TCPAddr)
	a.local, a.exposed = !isTCP, isTCP && !tcp.IP.IsLoopback()
	return a, nil
}

func (a *API) newFastServer(handler fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:               handler,
		ErrorHandler:          malformed,
		ReadBufferSize:        maxHead,
		MaxRequestBodySize:    maxBody,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		Concurrency:           maxConnections * 2, // the listener has the limit
		NoDefaultServerHeader: true,
		CloseOnShutdown:       true,
		Logger:                listener.Quiet{},
	}
}

// Run serves until ctx is done, and gives requests in progress two seconds to
// finish. It ends every goroutine it has started. Its error is that of the
// listener.
func (a *API) Run(ctx context.Context) error {
	if a.listener == nil {
		<-ctx.Done()
		return nil
	}
	background, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { a.sweeper.Run(background) })
	served := make(chan error, 1)
	go func() { served <- a.fast.Serve(a.listener.Wrapped(a.connect)) }()
	var err error
	select {
	case <-ctx.Done():
		a.shutdown()
		err = <-served
	case err = <-served:
		a.shutdown()
	}
	stop()
	wait.Wait()
	if err != nil {
		return fmt.Errorf("cannot serve the admin API on %q: %w", a.address, err)
	}
	return nil
}

// shutdown stops accepting and ends every connection, at last by force.
func (a *API) shutdown() {
	_ = a.listener.Close() // so that Serve ends even if it has only just begun
	soft, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := a.fast.ShutdownWithContext(soft); !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	for c := range a.conns.All() {
		_ = c.Conn.Close()
	}
	hard, cancelHard := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancelHard()
	_ = a.fast.ShutdownWithContext(hard) // what is still there is a profile being taken
}

// Close releases what New has opened, if Run is never called.
func (a *API) Close() {
	if a.listener != nil {
		_ = a.listener.Close()
	}
}

// Addr returns the base URL of the API as it is reached from this machine,
// such as "http://127.0.0.1:9090/admin", or "http://unix:/run/gateway.sock:/admin"
// for a Unix socket; "" where admin.enabled is false.
func (a *API) Addr() string {
	if a.listener == nil {
		return ""
	}
	if a.local {
		return "http://unix:" + strings.TrimPrefix(a.address, "unix:") + ":" + a.base
	}
	at, err := netip.ParseAddrPort(a.listener.Addr().String())
	if err == nil && at.Addr().IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d%s", at.Port(), a.base)
	}
	return "http://" + a.listener.Addr().String() + a.base
}
