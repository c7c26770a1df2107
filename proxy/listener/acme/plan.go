package acme

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

// Plan is what one configuration asks for. It doesn't change, but for its budgets.
type Plan struct {
	config    *Config
	dir       string // that relative paths start from
	path      string // of the storage
	storage   Storage
	authority *authority
	names     *Names

	orders *budget
	asks   *asks
	asker  *http.Client // of on_demand.ask
}

// NewPlan makes a plan of a section that has been checked, and of the names that
// tenants have. roots is the content of ca_roots_file, nil without; dir is where
// relative paths start from. shared is the storage of a section that has Shared.
func NewPlan(c *Config, dir string, roots []byte, names *Names, shared Storage) *Plan {
	config := *c
	path, storage := inStore, shared
	if !config.Shared {
		if path = config.Storage; !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		storage = NewDirectory(path)
	}
	return &Plan{
		config: &config, dir: dir, path: path, storage: storage, authority: newAuthority(&config, roots), names: names,
		orders: newBudget(config.OrdersPerHour, config.OrdersPerHourAndTenant, time.Hour),
		asks:   newAsks(config.OnDemand.AsksPerSecond),
		asker: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, MaxConnsPerHost: 2 * maxFlights},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// inStore stands for the path of a storage that is none: it is no file's.
const inStore = "\x00store"

// close gives up connections that idle.
func (p *Plan) close() {
	p.authority.client.HTTPClient.CloseIdleConnections()
	p.asker.CloseIdleConnections()
}

// CheckCommand says what is wrong with the program of dns.command.
func (c *DNSConfig) CheckCommand(dir string) error {
	if len(c.Command) == 0 {
		return nil
	}
	if _, err := exec.LookPath(c.program(dir)); err != nil {
		if wrapped, ok := errors.AsType[*exec.Error](err); ok {
			err = wrapped.Err
		}
		return fmt.Errorf("cannot run dns.command %q: %w", c.Command[0], err)
	}
	return nil
}

// continues reports whether what was done for another plan is good for this one:
// the certificates are the same authority's, in the same place.
func (p *Plan) continues(before *Plan) bool {
	return before != nil && p.path == before.path && p.config.Directory() == before.config.Directory()
}

// adopt takes over what has been used up of budgets that are the same.
func (p *Plan) adopt(before *Plan) {
	if p.config.OrdersPerHour == before.config.OrdersPerHour && p.config.OrdersPerHourAndTenant == before.config.OrdersPerHourAndTenant {
		p.orders = before.orders
	}
	if p.config.OnDemand.AsksPerSecond == before.config.OnDemand.AsksPerSecond {
		p.asks = before.asks
	}
	if directory, ok := before.storage.(*Directory); ok { // which knows of locks how old they are
		p.storage = directory
	}
}

// wildcards reports whether certificates for wildcards can be proved.
func (p *Plan) wildcards() bool { return p.config.Uses(DNS01) }

func (p *Plan) certificateKey(name string) string {
	return "certificates/" + p.authority.key + "/" + keyOf(name) + ".pem"
}

func (p *Plan) lockKey(name string) string { return "locks/" + p.authority.key + "/" + keyOf(name) }

// timeout bounds an order with all its challenges.
func (p *Plan) timeout() time.Duration {
	return orderTimeout + p.config.DNS.Timeout.Std() + p.config.DNS.Settle.Std()
}

// solvers are those of the challenges that are configured.
func (p *Plan) solvers(c *challenges) map[string]solver {
	return map[string]solver{
		HTTP01:    served{c, HTTP01, p.storage},
		TLSALPN01: served{c, TLSALPN01, p.storage},
		DNS01:     &dnsCommand{&p.config.DNS, p.dir},
	}
}
