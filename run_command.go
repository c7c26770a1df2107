package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"runtime/debug"
	"sync"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/admin"
	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
)

// runGateway is the command "run".
func runGateway(args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	file := flags.String("config", "config.yaml", "configuration `file`")
	pidFile := flags.String("pid-file", "", "`file` that has the number of the process, also after an upgrade; removed at the end")
	strict := flags.Bool("strict", false, "refuse to start, and each reload, if any tenant is broken; else it alone is refused, or left as it was")
	withDemo := flags.Bool("demo", false, "start two small upstreams in the process, which config.yaml points to, serve https too with a certificate made for that, reload when scripts change, and end with the process that has started this one")
	if err := parse(flags, args); err != nil {
		return err
	}
	p, err := newProcess(*pidFile)
	if err != nil {
		return err
	}
	config, err := proxy.Load(*file)
	if err != nil {
		return err
	}
	o := proxy.Options{File: *file, Config: config, Strict: *strict}
	var show *demo
	if *withDemo {
		if show, err = startDemo(); err != nil {
			return err
		}
		defer show.stop()
		if o.Besides, err = show.secure(config); err != nil {
			return err
		}
		p.programErr = errors.New("a demo has upstreams whose ports are taken")
	}
	return serve(o, p, show)
}

// serve builds the gateway, and runs it.
func serve(o proxy.Options, p *process, show *demo) error {
	ctx, stop := context.WithCancel(untilSignal()) // before anything listens, so that none is missed
	defer stop()
	output := logs.NewWriter(&o.Config.Log, p.stderr())
	defer output.Close()
	p.log = logs.New(&o.Config.Log, output)
	if err := p.meetManager(); err != nil {
		return err
	}
	garbage := &collections{}
	o.Log, o.LogWriter, o.Memory = p.log, output, garbage.tuneMemory(p.log)
	go adaptToLongRuns(ctx, lua.LongRuns(), garbage)
	o.Sockets = &p.sockets
	if p.predecessor != nil {
		o.Replaces, o.Tickets = true, p.predecessor.Tickets
	}
	server, api, err := open(o)
	if err != nil {
		return err
	}
	removePID := func() {}
	if err = p.takeOver(ctx, server); err == nil {
		removePID, err = p.writePID()
	}
	if err != nil {
		server.Close()
		api.Close()
		return err
	}
	defer removePID()
	p.closeRest()
	go debug.FreeOSMemory() // what loading has left behind
	sayListening(p.log, server, api, len(o.Config.Tenants))
	if show != nil {
		output.Flush() // so that nothing stands between what there is to try
		show.greet(os.Stdout, server, api.Addr())
		go watchParent(ctx, show.parent, stop)
	}
	return p.run(ctx, stop, server, api, show != nil)
}

// run runs the gateway until a signal ends it, or it has been replaced. stop ends ctx.
func (p *process) run(ctx context.Context, stop func(), server *proxy.Server, api *admin.API, watch bool) error {
	endAdmin := runAdmin(api, p.log)
	go onEach(p.asked.reload, func() { p.reload(server) })
	go onEach(p.asked.reopen, server.ReopenLog)
	serving, endServing := context.WithCancel(ctx) // what the next process does after this one
	defer endServing()
	var beside sync.WaitGroup
	beside.Go(func() { server.Watch(serving, watch) })
	beside.Go(func() {
		p.upgrades(ctx, server, func() {
			server.HandOver()
			endServing()
			go func() { _ = endAdmin() }() // its requests are the next process's from now on
		})
	})
	well, endWell := context.WithCancel(context.WithoutCancel(ctx))
	defer endWell()
	go p.manager.KeepCalm(well, func() bool { return server.Alive() && !p.succession.done() })
	context.AfterFunc(ctx, func() { p.stopping(server) })
	p.ready(server)
	err := server.Run(ctx)
	stop() // where Run has failed
	beside.Wait()
	err = errors.Join(err, endAdmin()) // last, so that a drain can be watched
	event := p.log.Info()
	if err != nil {
		event = p.log.Error().Str("error", cause.Text(err))
	}
	event.Int("pid", os.Getpid()).Msg("stopped")
	return err
}

// open opens the listeners.
func open(o proxy.Options) (*proxy.Server, *admin.API, error) {
	server, err := proxy.New(o)
	if err != nil {
		return nil, nil, err
	}
	api, err := admin.New(admin.Options{Server: server, Log: o.Log, Version: versionText()})
	if err != nil {
		server.Close()
	}
	return server, api, err
}

func sayListening(log zerolog.Logger, server *proxy.Server, api *admin.API, tenants int) {
	addresses := make([]string, 0, 1)
	for _, address := range server.Addrs() {
		addresses = append(addresses, address.String())
	}
	log.Info().Int("pid", os.Getpid()).Str("address", addresses[0]).Strs("addresses", addresses).Str("admin", api.Addr()).Str("version", versionText()).
		Int("tenants", tenants).Msg("listening")
	for _, warning := range server.Warnings() {
		log.Warn().Msg(warning)
	}
}

// runAdmin serves the admin API until end is called, which returns its error,
// as often as it is called.
func runAdmin(api *admin.API, log zerolog.Logger) (end func() error) {
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		err := api.Run(ctx)
		if err != nil {
			log.Error().Str("error", cause.Text(err)).Msg("the admin API and the metrics answer nobody any more: they have failed")
		}
		done <- err
	}()
	return sync.OnceValue(func() error {
		stop()
		return <-done
	})
}
