package main

import (
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/notify"
	"github.com/keystone-gateway/keystone-gateway/proxy/upgrade"
)

// process is what the gateway is to whoever has started it: the sockets that it
// was given, what it tells the service manager, the process before it and the one
// after it.
type process struct {
	log         zerolog.Logger
	asked       *requests
	manager     *notify.Socket       // nil where there is none
	predecessor *upgrade.Predecessor // nil where there is none
	sockets     listener.Sockets
	program     upgrade.Program
	programErr  error
	pidFile     string // "": none
	succession  succession
}

// newProcess takes what the process was started with. Its log is set later.
func newProcess(pidFile string) (p *process, err error) {
	p = &process{asked: hear(), pidFile: pidFile, log: zerolog.Nop()}
	p.program, p.programErr = upgrade.Self()
	p.predecessor, err = upgrade.Inherit(&p.sockets)
	return p, err
}

// stderr is where the log goes.
func (p *process) stderr() *os.File {
	if p.predecessor != nil {
		return p.predecessor.Stderr()
	}
	return os.Stderr
}

// meetManager takes what the service manager has for the process.
func (p *process) meetManager() error {
	var err error
	p.manager, err = notify.Manager(os.Getenv)
	p.warn(err)
	if p.predecessor != nil {
		return nil // which was given the sockets
	}
	unusable, err := upgrade.Activation(&p.sockets)
	for _, what := range unusable {
		p.log.Warn().Str("socket", what).Msg("a socket from the service manager was closed: it can't be used")
	}
	return err
}

// warn logs what went wrong beside the gateway's work.
func (p *process) warn(err error) {
	if err != nil {
		p.log.Warn().Msg(cause.Text(err))
	}
}

// closeRest closes the sockets that no listener has taken.
func (p *process) closeRest() {
	for _, socket := range p.sockets.CloseRest() {
		p.log.Warn().Str("socket", socket).Msg("a socket that was passed was closed: it is at no address of the configuration")
	}
}

// ready says that the gateway serves.
func (p *process) ready(server *proxy.Server) {
	p.warn(p.manager.Ready(serving(server)))
}

// serving is a line for people about what is served.
func serving(server *proxy.Server) string {
	config, result := server.Config(), server.LastReload()
	text := fmt.Sprintf("serving %s on %s", counted(len(config.Tenants), "tenant"), server.Addr())
	switch {
	case !result.Applied:
		text += "; the last reload was refused, see the log"
	case len(result.Failed) > 0:
		text += fmt.Sprintf("; %s not as configured, see the log", counted(len(result.Failed), "tenant"))
	}
	return text
}

// reload reads the configuration again; the server logs the result.
func (p *process) reload(server *proxy.Server) {
	if p.succession.reload() {
		return // it is the next process's
	}
	p.warn(p.manager.Reloading())
	server.Reload()
	p.ready(server)
}

// stopMargin is how much longer than its drain the process may take to end.
const stopMargin = 10 * time.Second

// stopping says that the gateway ends, and when at the latest.
func (p *process) stopping(server *proxy.Server) {
	if p.succession.done() {
		return // it doesn't
	}
	c := &server.Config().Server
	p.warn(p.manager.Stopping(c.DrainNotice.Std()+c.DrainTimeout.Std()+stopMargin, "draining"))
}
