package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// parseFlags leaves the arguments behind the flags. An error is one line: what
// flags there are is printed when -h asks for it.
func parseFlags(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(os.Stdout)
		flags.Usage()
		return err
	}
	if err != nil {
		return fmt.Errorf("%s; keystone-gateway %s -h lists the flags", flagFault(err), flags.Name())
	}
	return nil
}

// flagFault says what is wrong with flags.
func flagFault(err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: "); ok {
		return "unknown flag " + name
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		return "flag " + name + " has no value, expected one behind it"
	}
	if part, ok := strings.CutPrefix(text, "bad flag syntax: "); ok {
		return fmt.Sprintf("%q is no flag, expected -name or -name=value", part)
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, ": parse error"), ": value out of range")
	for _, begin := range []string{"invalid value ", "invalid boolean value "} {
		if rest, ok := strings.CutPrefix(text, begin); ok {
			value, name, _ := strings.Cut(rest, " for ")
			name, why, _ := strings.Cut(strings.TrimPrefix(name, "flag "), ": ")
			expected := "expected one of another kind"
			switch {
			case begin == "invalid boolean value ":
				expected = "expected true or false"
			case why != "":
				expected = why
			}
			return fmt.Sprintf("flag %s can't be %s, %s", name, value, expected)
		}
	}
	return text
}

// parse takes flags only.
func parse(flags *flag.FlagSet, args []string) error {
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q, expected flags only", flags.Arg(0))
	}
	return nil
}

// runCheck is the command "check".
func runCheck(args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	file := flags.String("config", "config.yaml", "configuration `file`")
	strict := flags.Bool("strict", false, "end with status 1 if there are warnings")
	if err := parse(flags, args); err != nil {
		return err
	}
	config, err := proxy.Load(*file)
	var warnings []string
	if err == nil {
		warnings, err = proxy.CheckScripts(*file, config)
	}
	if list, ok := errors.AsType[settings.Errors](err); ok {
		for _, e := range list {
			fmt.Fprintln(os.Stderr, e.Error())
		}
		printWarnings(os.Stderr, warnings)
		return errReported
	}
	if err != nil {
		return err
	}
	targets, pools := 0, 0
	for i := range config.Tenants {
		for _, p := range config.Tenants[i].AllPools() {
			targets += len(p.Services)
		}
		pools += len(config.Tenants[i].Pools)
	}
	of := ""
	if pools > 0 {
		of = counted(pools, "named pool") + ", "
	}
	fmt.Printf("%s is fine: %s, %s%s\n", *file, counted(len(config.Tenants), "tenant"), of, counted(targets, "target"))
	printWarnings(os.Stdout, warnings)
	if *strict && len(warnings) > 0 {
		return errReported
	}
	return nil
}

func printWarnings(w io.Writer, warnings []string) {
	for _, warning := range warnings {
		_, _ = fmt.Fprintln(w, "warning: "+warning)
	}
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// runSchema is the command "schema".
func runSchema(args []string) error {
	flags := flag.NewFlagSet("schema", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return err
	}
	schema, err := proxy.Schema()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(schema)
	return err
}

// runVersion is the command "version".
func runVersion(args []string) error {
	flags := flag.NewFlagSet("version", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"version": versionText(), "go": runtime.Version()})
	}
	fmt.Println("keystone-gateway", versionText(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return nil
}

// versionText is the version, or the commit where the build has set none.
func versionText() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "dev-" + s.Value[:12]
			}
		}
	}
	return version
}
