package generator_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
)

func TestOptionsErrors(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*generator.Options){
		"-url or -targets":      func(o *generator.Options) { o.Targets = nil },
		"-c is 0":               func(o *generator.Options) { o.Connections = 0 },
		"-c is 65536":           func(o *generator.Options) { o.Connections = 65536 },
		"-rate is -1":           func(o *generator.Options) { o.Rate = -1 },
		"-rate is NaN":          func(o *generator.Options) { o.Rate = math.NaN() },
		"-rate is +Inf":         func(o *generator.Options) { o.Rate = math.Inf(1) },
		"-d is 0s":              func(o *generator.Options) { o.Duration = 0 },
		"-d is 25h":             func(o *generator.Options) { o.Duration = 25 * time.Hour },
		"-warmup is -1s":        func(o *generator.Options) { o.Warmup = -time.Second },
		"-timeout is 0s":        func(o *generator.Options) { o.Timeout = 0 },
		"-host: host \"a b\"":   func(o *generator.Options) { o.Host = "a b" },
		"method \"GET /\"":      func(o *generator.Options) { o.Targets[0].Method = "GET /" },
		"weight -1":             func(o *generator.Options) { o.Targets[0].Weight = -1 },
		"the name \"X A\"":      func(o *generator.Options) { o.Fields = []generator.Field{{Name: "X A"}} },
		"the body has 67108865": func(o *generator.Options) { o.Body = make([]byte, generator.MaxBody+1) },
		"80000, expected at most": func(o *generator.Options) {
			o.Connections = 40_000
			o.Targets = append(o.Targets, generator.Target{URL: parse(t, "http://127.0.0.2:1/")})
		},
	} {
		o := options(t, "http://127.0.0.1:1/")
		change(&o)
		if _, err := generator.Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}
