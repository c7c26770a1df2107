package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// requests are the signals that ask for something. Each is asked for once, however
// often it comes meanwhile.
type requests struct {
	reload, reopen, upgrade chan os.Signal
}

// hear listens for them, from the start on: unheard they would end the process,
// which loads its configuration for a while first.
func hear() *requests {
	r := &requests{make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(r.reload, syscall.SIGHUP)
	signal.Notify(r.reopen, syscall.SIGUSR1)
	signal.Notify(r.upgrade, syscall.SIGUSR2)
	return r
}

// untilSignal returns a context that ends with the first SIGTERM or SIGINT. A
// second one ends the process at once.
func untilSignal() context.Context {
	ended, cancel := context.WithCancel(context.Background())
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGPIPE) // whoever read our log has gone: that ends no gateway
	go func() {
		<-stop
		cancel()
		<-stop
		said := make(chan struct{})
		go func() {
			defer close(said)
			_, _ = fmt.Fprintln(os.Stderr, "keystone-gateway: a second signal: ended at once")
		}()
		select {
		case <-said:
		case <-time.After(100 * time.Millisecond): // standard error is a pipe that nobody reads
		}
		os.Exit(1)
	}()
	return ended
}

// onEach calls f for each signal.
func onEach(signals <-chan os.Signal, f func()) {
	for range signals {
		f()
	}
}
