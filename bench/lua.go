//go:build linux

package main

import "context"

// runLua measures the promises about Lua.
func runLua(ctx context.Context, args []string) error {
	flags := newFlags("lua", 5)
	o := flags.options
	flags.StringVar(&o.output, "out", "", "write what was measured into this `directory`: results.json, results.md")
	if err := flags.parse(args); err != nil {
		return err
	}
	chosen, err := flags.choose(luaScenarios())
	if err != nil {
		return err
	}
	l, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.findLua(ctx); err != nil {
		return err
	}
	return l.measureAndKeep(ctx, chosen)
}

// findLua names what takes part.
func (l *lab) findLua(ctx context.Context) error {
	version, err := versionOf(ctx, l.binary, "version")
	if err != nil {
		return err
	}
	l.found = []peerVersion{{ours, version}}
	if l.nginx == nil {
		l.missing = []missingPeer{{nginxLua, l.nginxMissing.Error()}}
	} else {
		l.found = append(l.found, peerVersion{nginxLua, l.nginx.version})
	}
	return nil
}

func luaScenarios() []*scenario {
	return []*scenario{middlewareScenario(), routeScenario(), waitingScenario(), tenantsScenario(), isolationScenario()}
}
