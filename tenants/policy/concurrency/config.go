// Package concurrency is the policy that bounds how many requests are in progress, and
// has others wait for a while.
//
//	policies:
//	  - concurrency: { max: 10, by: client, queue: 20, queue_timeout: 5s }
package concurrency

import (
	_ "embed" // for About
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section concurrency of a policy.
type Config struct {
	// Requests that may be in progress at once, from the policy on until their response
	// has been sent; a tunnel, such as a WebSocket, as long as it lasts.
	Max int `yaml:"max" min:"1" max:"1000000" required:"true"`

	// Whose requests are counted together, as in rate_limit. Default: tenant, which is
	// all of them.
	By []string `yaml:"by" single:"true"`

	// Requests that may wait until others have ended, in the order in which they came,
	// of each by itself that by tells apart, at each gateway. More are refused at once.
	// Default: 0.
	Queue int `yaml:"queue" min:"0" max:"100000"`

	// Longest time that a request waits. Default: 5s.
	QueueTimeout settings.Duration `yaml:"queue_timeout"`

	// Where requests are counted: redis is the configuration's store, together with all
	// gateways that have it; local is this process, by itself. Default: redis if there is
	// a store, else local.
	Store string `yaml:"store" enum:"redis,local"`

	// What holds while the store is away, or too slow, or has something else under the
	// key: local counts what this gateway has in progress, and lets that be as many as
	// max; open lets all pass; closed refuses all. Default: local.
	OnStoreError string `yaml:"on_store_error" enum:"local,open,closed"`
}

const (
	maxRequests = 1_000_000
	maxQueue    = 100_000
	maxWait     = 10 * time.Minute
)

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.QueueTimeout, c.OnStoreError = settings.Duration(5*time.Second), policy.OnErrorLocal
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Max < 1 || c.Max > maxRequests {
		r.Errorf(&c.Max, "max %d is out of range, expected 1 to %d", c.Max, maxRequests)
	}
	policy.CheckKey(r, &c.By)
	if c.Queue < 0 || c.Queue > maxQueue {
		r.Errorf(&c.Queue, "queue %d is out of range, expected 0 to %d", c.Queue, maxQueue)
	}
	if wait := c.QueueTimeout.Std(); wait < time.Millisecond || wait > maxWait {
		r.Errorf(&c.QueueTimeout, "queue_timeout %s is out of range, expected 1ms to %s", c.QueueTimeout, settings.Duration(maxWait))
	}
	policy.CheckStore(r, &c.Store, &c.OnStoreError)
}

var full = &policy.Refusal{Status: 503, Code: "concurrency_exceeded", Message: "too many requests are in progress"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{full, policy.StoreUnavailable}}
}
