package upstream

import (
	_ "embed" // for ResilienceSource
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed resilience_config.go
var resilienceSource string

// ResilienceSources returns the texts of these files, as Source does of another.
func ResilienceSources() settings.Sources {
	return settings.Sources{resilienceSource, outlierSource}
}

// ResilienceConfig is how a pool copes with targets that fail: keys of a tenant. A
// section that is nil is off.
type ResilienceConfig struct {
	// When a request that has failed is sent to another target. Default: once at
	// most, where that can do no harm; docs/resilience.md explains both.
	Retry *RetryConfig `yaml:"retry"`

	// "standard" turns on what stands below and above with the defaults of each
	// section that is left out, retries with a per_try_timeout of 500ms, a slow_start of
	// 10s and a panic_threshold of 20%. Default: none.
	Resilience string `yaml:"resilience" enum:"standard"`

	// Which targets get no requests for a while because of how they have answered.
	// Default: none.
	OutlierEjection *OutlierConfig `yaml:"outlier_ejection"`

	// How failing requests eject a target, and how it comes back. Default: ejections
	// end by themselves.
	CircuitBreaker *BreakerConfig `yaml:"circuit_breaker"`

	// Time in which a target that has come back gets a growing share of what is its
	// own, from a tenth on. Default: 0, which is all at once.
	SlowStart *settings.Duration `yaml:"slow_start"`

	// Share of the targets of a weight above 0 that must be healthy: where fewer are,
	// all are used, but those that an operator has drained. Default: 0%, which is never.
	PanicThreshold *Percent `yaml:"panic_threshold"`
}

// Standard is the value of ResilienceConfig.Resilience.
const Standard = "standard"

// resolved fills in what resilience: standard turns on.
func (c ResilienceConfig) resolved() ResilienceConfig {
	if c.Resilience != Standard {
		return c
	}
	if c.Retry == nil {
		c.Retry = new(RetryConfig)
		c.Retry.SetDefaults()
		c.Retry.PerTryTimeout = settings.Duration(500 * time.Millisecond)
	}
	if c.OutlierEjection == nil {
		c.OutlierEjection = new(OutlierConfig)
		c.OutlierEjection.SetDefaults()
	}
	if c.CircuitBreaker == nil {
		c.CircuitBreaker = new(BreakerConfig)
		c.CircuitBreaker.SetDefaults()
	}
	if c.SlowStart == nil {
		c.SlowStart = new(settings.Duration(10 * time.Second))
	}
	if c.PanicThreshold == nil {
		c.PanicThreshold = new(Percent(20))
	}
	return c
}

// Check reports what is wrong with the sections.
func (c *ResilienceConfig) Check(r settings.Reporter) {
	if c.Retry != nil {
		c.Retry.Check(r)
	}
	if c.OutlierEjection != nil {
		c.OutlierEjection.Check(r)
	}
	if c.CircuitBreaker != nil {
		c.CircuitBreaker.Check(r)
	}
	if c.SlowStart != nil && *c.SlowStart < 0 {
		r.Errorf(c.SlowStart, "slow_start %v is negative, expected a duration like 30s", c.SlowStart.Std())
	}
}

// MostAttempts is as many attempts as a request may have.
const MostAttempts = 5

// RetryConfig is the section retry of a tenant.
type RetryConfig struct {
	// Most attempts of one request, the first included, each at another target: 1 to
	// 5. Default: 3. With 1 nothing is retried.
	Attempts int `yaml:"attempts" min:"1" max:"5"`

	// What is retried: "connect" (no connection could be made, or it died before a
	// byte was written), "refused" (the target says that it has done nothing with the
	// request), "overflow" (too many wait for a connection to the target),
	// "no_response" (the connection ended before a response), "reset" (it was reset, or
	// the stream was), "timeout" (timeouts.response_header has passed), statuses of
	// answers such as 503, "5xx" for all from 500 on, and "gateway_error" for 502,
	// 503 and 504. After a status only requests are sent again whose body, if they
	// have one, is small. Default: connect, refused, overflow, no_response, reset,
	// gateway_error.
	On []string `yaml:"on" single:"true"`

	// Methods of requests that may be sent twice, after all of what a target may have
	// begun with: anything but connect, refused and overflow. Default: GET, HEAD,
	// OPTIONS, PUT, DELETE, QUERY.
	Methods []string `yaml:"methods" single:"true"`

	// Largest share of retries among the pool's requests of the last ten seconds.
	// Default: 20%.
	Budget Percent `yaml:"budget"`

	// Retries a second that there may be in any case, over the last ten seconds: 0 to
	// 1000000. Default: 10.
	MinRetriesPerSecond int `yaml:"min_retries_per_second" min:"0" max:"1000000"`

	// Time after which an attempt without a response is given up, if another target
	// can be asked in its place and the budget allows that; the last attempt goes on
	// for timeouts.response_header. Only for requests that may be sent twice.
	// Default: 0, which is never.
	PerTryTimeout settings.Duration `yaml:"per_try_timeout"`

	// Wait before the second retry of a request, half of it at random, and twice as
	// long before each further one. The first retry, at another target, doesn't wait.
	// Default: 25ms; 0 is none.
	Backoff settings.Duration `yaml:"backoff"`

	// Longest such wait. Default: 250ms.
	MaxBackoff settings.Duration `yaml:"max_backoff"`
}

// SetDefaults fills a fresh section.
func (c *RetryConfig) SetDefaults() {
	*c = RetryConfig{
		Attempts: 3, On: []string{"connect", "refused", "overflow", "no_response", "reset", "gateway_error"},
		Methods: []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"},
		Budget:  20, MinRetriesPerSecond: 10,
		Backoff: settings.Duration(25 * time.Millisecond), MaxBackoff: settings.Duration(250 * time.Millisecond),
	}
}

// Check reports what is wrong with the section.
func (c *RetryConfig) Check(r settings.Reporter) {
	checkCount(r, &c.Attempts, "retry.attempts", 1, MostAttempts)
	checkCount(r, &c.MinRetriesPerSecond, "retry.min_retries_per_second", 0, maxConns)
	for i, word := range c.On {
		if _, _, ok := retryCondition(word); !ok {
			r.Errorf(&c.On[i], "retry.on has %q, expected one of %s, 5xx, gateway_error, or a status from 400 to 599", word, strings.Join(retryWords, ", "))
		}
	}
	for i, method := range c.Methods {
		switch {
		case method == "" || strings.ContainsFunc(method, func(b rune) bool { return b <= ' ' || b >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", b) }):
			r.Errorf(&c.Methods[i], "retry.methods has %q, which is no method, expected names such as GET", method)
		case method != strings.ToUpper(method):
			r.Errorf(&c.Methods[i], "retry.methods has %q, and methods are case-sensitive, expected %q", method, strings.ToUpper(method))
		case slices.Contains(c.Methods[:i], method):
			r.Errorf(&c.Methods[i], "retry.methods has %q twice, expected it once", method)
		}
	}
	for _, d := range []struct {
		field *settings.Duration
		key   string
	}{{&c.PerTryTimeout, "per_try_timeout"}, {&c.Backoff, "backoff"}, {&c.MaxBackoff, "max_backoff"}} {
		if *d.field < 0 {
			r.Errorf(d.field, "retry.%s %v is negative, expected a duration like 250ms, or 0 for none", d.key, d.field.Std())
		}
	}
	if c.MaxBackoff < c.Backoff && c.MaxBackoff >= 0 {
		r.Errorf(&c.MaxBackoff, "retry.max_backoff %v is less than retry.backoff, which is %v", c.MaxBackoff.Std(), c.Backoff.Std())
	}
}

// retryOn is a set of kinds of failures, a bit each.
type retryOn uint16

const (
	onConnect retryOn = 1 << iota
	onRefused
	onOverflow
	onNoResponse
	onReset
	onTimeout
)

// retryWords name them, in that order.
var retryWords = []string{"connect", "refused", "overflow", "no_response", "reset", "timeout"}

// retryCondition reads a word of retry.on.
func retryCondition(word string) (on retryOn, statuses StatusSet, ok bool) {
	if i := slices.Index(retryWords, word); i >= 0 {
		return 1 << i, statuses, true
	}
	switch word {
	case "5xx":
		return 0, statusRange(500, 599), true
	case "gateway_error":
		return 0, statusRange(502, 504), true
	}
	code, err := strconv.Atoi(word)
	if err != nil || code < 400 || code > 599 || fmt.Sprint(code) != word {
		return 0, statuses, false
	}
	return 0, statusRange(code, code), true
}
