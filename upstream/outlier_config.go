package upstream

import (
	_ "embed" // for OutlierSource
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed outlier_config.go
var outlierSource string

// OutlierConfig is the section outlier_ejection of a tenant: which targets get no
// requests for a while because of how they have answered.
type OutlierConfig struct {
	// Answers from 500 on in a row after which a target is ejected: 0 to 1000.
	// Default: 5; 0 is never.
	Consecutive5xx int `yaml:"consecutive_5xx" min:"0" max:"1000"`

	// Answers 502, 503 and 504 in a row after which a target is ejected: 0 to 1000.
	// Default: 5; 0 is never.
	ConsecutiveGatewayErrors int `yaml:"consecutive_gateway_errors" min:"0" max:"1000"`

	// Requests in a row that got no answer, or none that was whole, after which a
	// target is ejected: 0 to 1000. Default: 5; 0 is never.
	ConsecutiveLocalErrors int `yaml:"consecutive_local_errors" min:"0" max:"1000"`

	// Time after which the targets of the pool are compared, again and again. At least
	// 100ms. Default: 1s.
	Interval settings.Duration `yaml:"interval"`

	// Targets with success_rate_request_volume without which nobody is compared: 2 to
	// 65535. Default: 3.
	SuccessRateMinimumHosts int `yaml:"success_rate_minimum_hosts" min:"2" max:"65535"`

	// Requests of an interval without which a target isn't compared: 1 to 1000000.
	// Default: 50.
	SuccessRateRequestVolume int `yaml:"success_rate_request_volume" min:"1" max:"1000000"`

	// How many standard deviations the share of good answers of a target may be below
	// the average. Default: 1.9; 0 compares nothing.
	SuccessRateStdevFactor float64 `yaml:"success_rate_stdev_factor" min:"0" max:"100"`

	// How many times as late as the median of the targets one may answer on average.
	// Default: 4; 0 compares nothing.
	LatencyFactor float64 `yaml:"latency_factor" min:"0" max:"1000"`

	// Length of a target's first ejection; the next one is longer by as much, and each
	// good interval makes it shorter again. Default: 2s.
	BaseEjectionTime settings.Duration `yaml:"base_ejection_time"`

	// Longest ejection. Default: 30s.
	MaxEjectionTime settings.Duration `yaml:"max_ejection_time"`

	// Share of the targets that may be ejected at once, rounded down, but one target
	// in any case unless it is 0, and never the last one. Default: 50%.
	MaxEjectedPercent Percent `yaml:"max_ejected_percent"`
}

// SetDefaults fills a fresh section.
func (c *OutlierConfig) SetDefaults() {
	*c = OutlierConfig{
		Consecutive5xx: 5, ConsecutiveGatewayErrors: 5, ConsecutiveLocalErrors: 5, Interval: settings.Duration(time.Second),
		SuccessRateMinimumHosts: 3, SuccessRateRequestVolume: 50, SuccessRateStdevFactor: 1.9, LatencyFactor: 4,
		BaseEjectionTime: settings.Duration(2 * time.Second), MaxEjectionTime: settings.Duration(30 * time.Second), MaxEjectedPercent: 50,
	}
}

// Check reports what is wrong with the section.
func (c *OutlierConfig) Check(r settings.Reporter) {
	checkCount(r, &c.Consecutive5xx, "outlier_ejection.consecutive_5xx", 0, maxThreshold)
	checkCount(r, &c.ConsecutiveGatewayErrors, "outlier_ejection.consecutive_gateway_errors", 0, maxThreshold)
	checkCount(r, &c.ConsecutiveLocalErrors, "outlier_ejection.consecutive_local_errors", 0, maxThreshold)
	checkCount(r, &c.SuccessRateMinimumHosts, "outlier_ejection.success_rate_minimum_hosts", 2, 65535)
	checkCount(r, &c.SuccessRateRequestVolume, "outlier_ejection.success_rate_request_volume", 1, maxConns)
	if c.Interval.Std() < minInterval {
		r.Errorf(&c.Interval, "outlier_ejection.interval %v is too short, expected at least %v", c.Interval.Std(), minInterval)
	}
	if !(c.SuccessRateStdevFactor >= 0 && c.SuccessRateStdevFactor <= 100) {
		r.Errorf(&c.SuccessRateStdevFactor, "outlier_ejection.success_rate_stdev_factor %v is out of range, expected 0 to 100", c.SuccessRateStdevFactor)
	}
	if f := c.LatencyFactor; f != 0 && !(f > 1 && f <= 1000) {
		r.Errorf(&c.LatencyFactor, "outlier_ejection.latency_factor %v is out of range, expected more than 1, to 1000, or 0 to compare nothing", f)
	}
	checkPositive(r, &c.BaseEjectionTime, "outlier_ejection.base_ejection_time")
	if c.MaxEjectionTime < c.BaseEjectionTime {
		r.Errorf(&c.MaxEjectionTime, "outlier_ejection.max_ejection_time %v is less than base_ejection_time, which is %v", c.MaxEjectionTime.Std(), c.BaseEjectionTime.Std())
	}
}

// BreakerConfig is the section circuit_breaker of a tenant: a target whose requests
// fail is ejected, and comes back through trials.
type BreakerConfig struct {
	// Share of a target's requests of an interval (outlier_ejection.interval) that may
	// fail: 5xx, no answer, or none that is whole. Default: 50%; 0% is no bound.
	FailureRate Percent `yaml:"failure_rate"`

	// Requests of an interval without which nothing is decided: 1 to 1000000.
	// Default: 20.
	MinimumRequests int `yaml:"minimum_requests" min:"1" max:"1000000"`

	// Requests that a target gets at the end of an ejection, whatever that was for: if
	// all are answered, and none with 5xx, it is back; if one isn't, it is ejected
	// for longer. 1 to 100. Default: 1.
	TrialRequests int `yaml:"trial_requests" min:"1" max:"100"`
}

// SetDefaults fills a fresh section.
func (c *BreakerConfig) SetDefaults() {
	*c = BreakerConfig{FailureRate: 50, MinimumRequests: 20, TrialRequests: 1}
}

// Check reports what is wrong with the section.
func (c *BreakerConfig) Check(r settings.Reporter) {
	checkCount(r, &c.MinimumRequests, "circuit_breaker.minimum_requests", 1, maxConns)
	checkCount(r, &c.TrialRequests, "circuit_breaker.trial_requests", 1, 100)
}
