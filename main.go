// Keystone Gateway is a multi-tenant, programmable edge proxy.
//
//	keystone-gateway -config config.yaml        serves until SIGTERM; SIGHUP reloads
//	keystone-gateway check -config config.yaml  says all that is wrong with the file
//	keystone-gateway help                       lists the other commands
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

// command is a sub-command of the program.
type command struct {
	name, summary string
	run           func(args []string) error
}

func commands() []command {
	return []command{
		{"run", "run the gateway (default)", runGateway},
		{"check", "check a configuration and report every error in it", runCheck},
		{"test", "run the tests of scripts, files named *_test.lua", runTest},
		{"bench", "send load to a server and report how it answers", runBench},
		{"migrate", "make a configuration of the earlier Keystone Gateway one of this", runMigrate},
		{"schema", "print the JSON Schema of the configuration", runSchema},
		{"version", "print the version", runVersion},
	}
}

// errReported ends the program with status 1 when the cause has been printed.
var errReported = errors.New("reported")

func main() {
	if err := dispatch(os.Args[1:]); err != nil {
		if !reported(err) {
			say("keystone-gateway: " + cause.Text(err))
		}
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		if status, ok := errors.AsType[exitStatus](err); ok {
			os.Exit(int(status))
		}
		os.Exit(1)
	}
}

// say writes a last line to standard error, unless nothing is taken there.
func say(line string) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintln(os.Stderr, line)
	}()
	select {
	case <-said:
	case <-time.After(time.Second):
	}
}

// reported says that the user knows of an error already.
func reported(err error) bool {
	_, status := errors.AsType[exitStatus](err)
	return status || errors.Is(err, errReported) || errors.Is(err, flag.ErrHelp)
}

// dispatch runs the sub-command that the first argument names; without one,
// or with a flag first, it is "run".
func dispatch(args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
			usage(os.Stdout)
			return nil
		}
		if len(args) > 0 && (args[0] == "-version" || args[0] == "--version") {
			return runVersion(nil)
		}
		return runGateway(args)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:])
		}
	}
	if args[0] == "help" {
		usage(os.Stdout)
		return nil
	}
	usage(os.Stderr)
	switch args[0] {
	case "validate", "configtest":
		return fmt.Errorf("unknown command %q: check reports what is wrong with a configuration", args[0])
	}
	return fmt.Errorf("unknown command %q, expected one of those above", args[0])
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: keystone-gateway [command] [flags]\n\ncommands:")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.summary)
	}
	fmt.Fprintln(w, "\nflags of run:\n  -config FILE   configuration (default config.yaml)\n  -pid-file FILE keep the number of the process there, also after an upgrade (SIGUSR2)\n  -strict        refuse to start, and each reload, if any tenant is broken; else it alone is refused, or left as it was\n  -demo          start two small upstreams in the process, which config.yaml points to, serve https too with a certificate made for that, reload when scripts change, and end with the process that has started this one")
}
