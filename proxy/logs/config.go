// Package logs writes the gateway's own log, and the lines of the access log, so
// that nobody ever waits for an output: a Queue takes lines, or drops and counts
// them. What is logged is left to its callers.
//
//	output := logs.NewWriter(&config, os.Stderr)
//	defer output.Close()
//	log := logs.New(&config, output)
package logs

import (
	_ "embed" // for Source

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed config.go
var source string

// Source is the text whose comments document the section.
func Source() string { return source }

// Config is the section log.
type Config struct {
	// Lowest level that is logged. Default: info.
	Level string `yaml:"level" enum:"debug,info,warn,error"`

	// "json", "console", or "auto": console on a terminal, else json.
	// Default: auto.
	Format string `yaml:"format" enum:"auto,json,console"`
}

// Default is the section where a file has none.
func Default() Config { return Config{Level: "info", Format: "auto"} }

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	switch c.Level {
	case "debug", "info", "warn", "error":
	default:
		r.Errorf(&c.Level, "level %q is unknown, expected debug, info, warn or error", c.Level)
	}
	switch c.Format {
	case "auto", "json", "console":
	default:
		r.Errorf(&c.Format, "format %q is unknown, expected auto, json or console", c.Format)
	}
}
