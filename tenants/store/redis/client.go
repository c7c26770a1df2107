package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// How a client goes about a server that fails, for whoever simulates it.
const (
	MostFailures = 3                      // in a row, after which the server is away
	LeastPause   = 100 * time.Millisecond // before it is tried to connect again; up to half of it more, by chance
	MostPause    = 2 * time.Second        // of which each is twice the one before
)

const (
	connectTimeout = 2 * time.Second  // of a connection with its handshakes
	lookEvery      = time.Second      // whether the server is still there, and the master
	steady         = 10 * time.Second // after which the next pause is the least again
)

// client is one section's server: its connections, and whether it answers.
type client struct {
	config *Config
	tell   func(address string, err error, away time.Duration)
	counts *counts
	ahead  *store.Ahead
	places places
	reach  *reach
	ending <-chan struct{} // of the Shared

	link   atomic.Pointer[link] // nil while the server is away
	lost   chan error           // why it is
	looked chan struct{}        // closed once it was tried to connect

	context context.Context //nolint:containedctx // of run, which retire ends
	retire  context.CancelFunc

	mu    sync.Mutex
	at    string
	since time.Time
	err   error // why it is away
}

// link is connections that answer.
type link struct {
	redis    rueidis.Client
	failures atomic.Int32 // in a row
	address  string
	began    time.Time
	forgot   atomic.Int64 // when scripts were missing, since began

	mu     sync.Mutex
	open   map[*guard]struct{}
	closed bool
}

func newClient(config *Config, of *Shared) *client {
	c := &client{
		config: config, tell: of.Tell, counts: &of.counts, ending: of.begin(), lost: make(chan error, 1), looked: make(chan struct{}),
		at: strings.Join(config.Address, " "), since: time.Now(), err: errors.New("it was not connected to yet"),
	}
	c.ahead = store.NewAhead(time.Now)
	c.places.init()
	c.reach = &reach{}
	c.reach.addLiterals(config)
	c.context, c.retire = context.WithCancel(context.Background())
	return c
}

func (c *client) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{Address: c.at, Here: c.link.Load() != nil, Since: c.since, Err: c.err}
}

// run connects, and does so again whenever the server is lost, until retire.
func (c *client) run() {
	pause, told := LeastPause, false
	for c.context.Err() == nil {
		began := time.Now()
		l, err := c.connect()
		if err == nil {
			c.note(l.address, nil, true)
			c.link.Store(l)
			c.closeLooked()
			if err = c.attend(l); err != nil {
				c.note(l.address, err, true)
				told = true
			}
			if time.Since(began) > steady {
				pause = LeastPause
			}
			c.link.CompareAndSwap(l, nil)
			l.close()
		} else {
			c.note("", err, !told)
			told = true
			c.closeLooked()
		}
		select {
		case <-time.After(pause + rand.N(pause/2)): // #nosec G404 -- only spreads them
		case <-c.context.Done():
		}
		pause = min(2*pause, MostPause)
	}
}

func (c *client) closeLooked() {
	select {
	case <-c.looked:
	default:
		close(c.looked)
	}
}

// note keeps how the server is, and tells of it where that is new.
func (c *client) note(address string, err error, loud bool) {
	c.mu.Lock()
	away := time.Since(c.since)
	if changes := (err == nil) != (c.err == nil); changes {
		c.since = time.Now()
	}
	if c.err = err; address != "" {
		c.at = address
	}
	at := c.at
	c.mu.Unlock()
	if loud && c.tell != nil {
		c.tell(at, err, away)
	}
}

// attend looks after a link until it is lost (err says why) or the client is retired.
func (c *client) attend(l *link) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.context.Done():
			select { // calls that have begun go on
			case <-time.After(c.config.Timeout.Std()):
			case <-c.ending:
			}
			return nil
		case err := <-c.lost:
			if c.link.Load() != l {
				return err
			}
		case <-ticker.C:
			_ = c.call(c.context, c.probe)
			if err := c.moved(l); err != nil {
				return err
			}
		}
	}
}

// lose has nobody use a link any more.
func (c *client) lose(l *link, why error) {
	if c.link.CompareAndSwap(l, nil) {
		select {
		case c.lost <- why:
		default:
		}
	}
}

// probe takes a token of a limit that is nobody's: what all others need is tried by it,
// be it the right to write, or that the server is the master.
func (c *client) probe(ctx context.Context, r rueidis.Client) error {
	_, err := c.take(ctx, r, c.config.Prefix+"::probe", probeQuota, 0, "own")
	return err
}

// connect connects to the first address that answers in time.
func (c *client) connect() (*link, error) {
	addresses, err := c.addresses()
	if err != nil {
		return nil, err
	}
	if c.config.Cluster {
		return c.connectTo(addresses...)
	}
	var failed error
	for _, address := range addresses {
		l, err := c.connectTo(address)
		if err == nil {
			return l, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func (c *client) connectTo(addresses ...string) (*link, error) {
	l := newLink(addresses)
	stop := context.AfterFunc(c.context, l.cut)
	defer stop()
	err := c.dial(l, c.config.Username, c.config.Password, addresses)
	if err == nil {
		// One that takes longer than the time-out is none that can be used, but the script
		// may have to be sent there first.
		if err = c.tryProbe(l); errors.Is(err, errForgotten) {
			err = c.tryProbe(l)
		}
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("%s: %w", l.address, c.config.word(err))
	}
	return l, nil
}

// tryProbe says whether a server answers in time.
func (c *client) tryProbe(l *link) error {
	within, cancel := context.WithTimeout(c.context, c.config.Timeout.Std())
	defer cancel()
	return guarded(func() error { return c.probe(within, l.redis) })
}

// dial makes the library's client of a link.
func (c *client) dial(l *link, username, password string, addresses []string) error {
	option := rueidis.ClientOption{
		InitAddress: addresses, Username: username, Password: password, SelectDB: c.config.Database, ClientName: "keystone-gateway", ClientSetInfo: []string{},
		ForceSingleClient: !c.config.Cluster, DisableCache: true, DisableRetry: true, AlwaysPipelining: true,
		PipelineMultiplex: 1, RingScaleEachConn: 10, ReadBufferEachConn: 32 << 10, WriteBufferEachConn: 32 << 10,
		ConnWriteTimeout: connectTimeout, Dialer: net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second},
		ClusterOption: rueidis.ClusterOption{MaxMovedRedirections: 2},
		DialCtxFn: func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			watched := *dialer
			watched.ControlContext = c.reach.control
			within, cancel := context.WithTimeout(c.context, connectTimeout) // of the handshake too, which the dialler knows nothing of
			defer cancel()
			stop := context.AfterFunc(ctx, cancel)
			defer stop()
			return l.dial(within, c.config, address, &watched)
		},
	}
	return guarded(func() (err error) {
		l.redis, err = rueidis.NewClient(option)
		return err //nolint:wrapcheck // callers wrap it
	})
}

// dial opens one connection of a link.
func (l *link) dial(ctx context.Context, config *Config, address string, dialer *net.Dialer) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names all
	}
	if t := config.tls(address); t != nil {
		secure := tls.Client(conn, t)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err //nolint:wrapcheck // as above
		}
		conn = secure
	}
	g := newGuard(conn, config.Cluster, l.forget)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.open[g] = struct{}{}
	return g, nil
}

func (l *link) forget(g *guard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, g)
}

func newLink(addresses []string) *link {
	return &link{open: map[*guard]struct{}{}, address: strings.Join(addresses, " "), began: time.Now()}
}

// cut ends all connections, and those that are to come.
func (l *link) cut() {
	l.mu.Lock()
	open := l.open
	l.open, l.closed = map[*guard]struct{}{}, true
	l.mu.Unlock()
	for g := range open {
		_ = g.Conn.Close()
	}
}

// close cuts first: a server that hangs isn't waited for.
func (l *link) close() {
	l.cut()
	if l.redis != nil {
		l.redis.Close()
	}
}
