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
)

// runGateway is the command "run".
func runGateway(args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	file := flags.String("config", "config.yaml", "configuration `file`")
	strict := flags.Bool("strict", false, "refuse to start, and each reload, if any tenant is broken; else it alone is refused, or left as it was")
	withDemo := flags.Bool("demo", false, "start two small upstreams in the process, which config.yaml points to, reload when scripts change, and end with the process that has started this one")
	if err := parse(flags, args); err != nil {
		return err
	}
	config, err := proxy.Load(*file)
	if err != nil {
		return err
	}
	var show *demo
	if *withDemo {
		if show, err = startDemo(); err != nil {
			return err
		}
		defer show.stop()
	}
	return serve(proxy.Options{File: *file, Config: config, Strict: *strict}, show)
}

// serve runs the gateway until a signal ends it. With a demo it greets, watches
// the scripts, and ends with whoever has started it.
func serve(o proxy.Options, show *demo) error {
	signalled, hangups, reopens := signals() // before anything listens, so that none is missed
	ctx, stop := context.WithCancel(signalled)
	defer stop()
	output := proxy.NewLogWriter(&o.Config.Log, os.Stderr)
	defer output.Close()
	log := proxy.NewLog(&o.Config.Log, output)
	process, err := newProcess(log)
	if err != nil {
		return err
	}
	go adaptToLongRuns(ctx, lua.LongRuns())
	o.Log, o.LogWriter, o.Memory, o.Sockets = log, output, tuneMemory(log), &process.sockets
	server, api, err := open(o)
	if err != nil {
		return err
	}
	process.closeRest()
	go debug.FreeOSMemory() // what loading has left behind
	endAdmin := runAdmin(api, log)
	go onEach(hangups, func() { process.reload(server) })
	go onEach(reopens, server.ReopenLog)
	var watching sync.WaitGroup
	watching.Go(func() { server.Watch(ctx, show != nil) })
	well, endWell := context.WithCancel(context.Background())
	defer endWell()
	go process.manager.KeepCalm(well, server.Alive)
	sayListening(log, server, api, len(o.Config.Tenants))
	if show != nil {
		output.Flush() // so that nothing stands between what there is to try
		show.greet(os.Stdout, server, api.Addr())
		go watchParent(ctx, show.parent, stop)
	}
	context.AfterFunc(ctx, func() { process.stopping(server) })
	process.ready(server)
	err = server.Run(ctx)
	stop() // where Run has failed
	watching.Wait()
	err = errors.Join(err, endAdmin()) // last, so that a drain can be watched
	event := log.Info()
	if err != nil {
		event = log.Error().Str("error", cause.Text(err))
	}
	event.Msg("stopped")
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

// onEach calls f for each signal.
func onEach(signals <-chan os.Signal, f func()) {
	for range signals {
		f()
	}
}

func sayListening(log zerolog.Logger, server *proxy.Server, api *admin.API, tenants int) {
	log.Info().Str("address", server.Addr().String()).Str("admin", api.Addr()).Str("version", versionText()).
		Int("tenants", tenants).Msg("listening")
	for _, warning := range server.Warnings() {
		log.Warn().Msg(warning)
	}
}

// runAdmin serves the admin API until end is called, which returns its error.
func runAdmin(api *admin.API, log zerolog.Logger) (end func() error) {
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		err := api.Run(ctx)
		if err != nil {
			log.Error().Str("error", cause.Text(err)).Msg("the admin API has failed")
		}
		done <- err
	}()
	return func() error {
		stop()
		return <-done
	}
}
