package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/keystone-gateway/keystone-gateway/migrate"
	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// runMigrate is the command "migrate". The new file goes to standard output,
// words to standard error.
func runMigrate(args []string) error {
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: keystone-gateway migrate OLD > NEW\n\nwrites the configuration file OLD of the earlier Keystone Gateway as one of this version, and says on standard error what differs; status 1 says that something is left to do")
	}
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("%d files are named, expected one: keystone-gateway migrate OLD > NEW", flags.NArg())
	}
	file := flags.Arg(0)
	src, err := proxy.ReadConfig(file)
	if err != nil {
		return err
	}
	result, err := migrate.File(file, src)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(result.Text); err != nil {
		return fmt.Errorf("cannot write the new file: %w", err)
	}
	sayAll("changed:", result.Changes)
	sayAll("different now:", result.Notes)
	sayAll("left to do before NEW can be used:", result.Left)
	if len(result.Left) > 0 {
		return errReported
	}
	return nil
}

func sayAll(title string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(os.Stderr, title)
	for _, line := range list {
		fmt.Fprintln(os.Stderr, "- "+line)
	}
}
