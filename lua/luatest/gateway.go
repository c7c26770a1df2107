package luatest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// gateway is the gateway of one test.
type gateway struct {
	server  *proxy.Server
	address string
	host    string
	log     *gatewayLog
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended
}

// startGateway starts a gateway. It waits while scripts are loaded.
func startGateway(p *plan, dir string, clock modules.Clock, cover func(string, int)) (*gateway, error) {
	g := &gateway{log: &gatewayLog{}, done: make(chan struct{}), host: p.host}
	server, err := proxy.New(proxy.Options{
		File: filepath.Join(dir, "config.yaml"), Config: p.config, Strict: true,
		Log: zerolog.New(g.log).Level(zerolog.DebugLevel), Clock: clock, Cover: cover,
		Env: func(name string) (string, bool) { value, ok := p.env[name]; return value, ok },
	})
	if err != nil {
		return nil, err
	}
	g.server, g.address = server, server.Addr().String()
	if g.host == "" {
		g.host = g.address
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() { // ends with stop
		defer close(g.done)
		if err := server.Run(ctx); err != nil {
			g.log.add(entry{level: "error", message: cause.Text(err)})
		}
	}()
	return g, nil
}

// stop ends the gateway and waits for it.
func (g *gateway) stop() {
	// A drain looks every 20 ms whether connections have ended. Ours have been
	// closed, but the gateway may not have noticed it yet.
	for range 50 {
		if g.server.Counters().Connections == 0 {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	g.cancel()
	<-g.done
}

// start starts the test's gateway if there is none; it gives the VM away
// meanwhile, since scripts may ask mocks while they are loaded.
func (f *file) start(L *glua.LState) *gateway {
	t := f.inTest(L)
	if t.gateway != nil {
		return t.gateway
	}
	p, err := f.plan(t, f.mockURL)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	var g *gateway
	var cover func(string, int)
	if f.runner.cover != nil {
		cover = f.runner.cover.hit
		f.runner.cover.add(p.config.Tenants[0].LuaRoutes)
	}
	if t.starting {
		L.RaiseError("the gateway is being started: functions that answer for mocks meanwhile can't use it")
	}
	t.starting = true
	defer func() { t.starting = false }()
	vm.RunOf(L).Yield(L, func() { g, err = startGateway(p, f.runner.options.Dir, f.clock, cover) })
	if err != nil {
		L.RaiseError("the gateway doesn't start: %s", cause.Text(err))
	}
	t.gateway = g
	return g
}

// openGateway makes the table gateway.
func (f *file) openGateway(L *glua.LState) *glua.LTable {
	return L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"start": func(L *glua.LState) int { f.start(L); return 0 },
		"url": func(L *glua.LState) int {
			L.Push(glua.LString("http://" + f.start(L).address))
			return 1
		},
		"metric": func(L *glua.LState) int {
			for t := range f.start(L).server.Tenants() {
				if t.Lua != nil {
					return t.Lua.Stats().Metrics.LuaGet(L)
				}
			}
			L.Push(glua.LNil)
			return 1
		},
		"tls_ask": f.tlsAsk,
		"log": func(L *glua.LState) int {
			return f.pushEntries(L, func(e *entry) bool { return e.script })
		},
		"errors": func(L *glua.LState) int {
			return f.pushEntries(L, func(e *entry) bool { return e.failure != "" })
		},
	})
}

// tlsAsk is gateway.tls_ask(name): what the scripts say to a name that may have a
// certificate, or nil and why they don't. It gives the VM away meanwhile, since they
// may ask mocks.
func (f *file) tlsAsk(L *glua.LState) int {
	name := vm.CheckString(L, 1)
	for t := range f.start(L).server.Tenants() {
		if t.Lua == nil {
			continue
		}
		var yes bool
		var err error
		vm.RunOf(L).Block(L, func(ctx context.Context) { yes, err = t.Lua.TLSAsk(ctx, strings.ToLower(name)) })
		if err == nil {
			L.Push(glua.LBool(yes))
			return 1
		}
		L.Push(glua.LNil)
		L.Push(glua.LString(cause.Text(err)))
		return 2
	}
	L.RaiseError("there are no scripts")
	return 0
}

// pushEntries pushes a list of what the gateway has logged in this test.
func (f *file) pushEntries(L *glua.LState, wanted func(*entry) bool) int {
	list := L.NewTable()
	if g := f.inTest(L).gateway; g != nil {
		for _, e := range g.log.all() {
			if !wanted(&e) {
				continue
			}
			vm.RunOf(L).Charge(L, 1000+len(e.message)+len(e.stack))
			list.Append(e.table(L))
		}
	}
	L.Push(list)
	return 1
}

// entry is one line of the gateway's log.
type entry struct {
	level, message string
	script         bool           // written by a script
	failure        string         // of a script: the error
	name, kind     string         // of the script, and of its failure
	stack          string         // of its failure
	fields         map[string]any // of a script's line
}

func (e *entry) table(L *glua.LState) *glua.LTable {
	t := L.NewTable()
	set := func(name, value string) { t.RawSetString(name, glua.LString(value)) }
	if e.failure != "" {
		set("message", e.failure)
		set("script", e.name)
		set("kind", e.kind)
		set("stack", e.stack)
		return t
	}
	set("level", e.level)
	set("message", e.message)
	fields := L.NewTable()
	for name, value := range e.fields {
		switch value := value.(type) {
		case string:
			fields.RawSetString(name, glua.LString(value))
		case float64:
			fields.RawSetString(name, glua.LNumber(value))
		case bool:
			fields.RawSetString(name, glua.LBool(value))
		}
	}
	t.RawSetString("fields", fields)
	return t
}

// maxEntries bounds what is kept of a test's log, maxDescribed what of it is
// shown with a failure.
const (
	maxEntries   = 1000
	maxDescribed = 40
)

// gatewayLog collects the lines that a gateway logs.
type gatewayLog struct {
	mu      sync.Mutex
	entries []entry
}

var _ io.Writer = (*gatewayLog)(nil)

// Write takes one line: zerolog writes each at once.
func (l *gatewayLog) Write(line []byte) (int, error) {
	e, ok := parseEntry(line)
	if !ok {
		return len(line), nil
	}
	l.add(e)
	return len(line), nil
}

func (l *gatewayLog) add(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) < maxEntries {
		l.entries = append(l.entries, e)
	}
}

// parseEntry reads a line of a log.
func parseEntry(line []byte) (e entry, ok bool) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return e, false
	}
	take := func(name string) string {
		text, _ := fields[name].(string)
		delete(fields, name)
		return text
	}
	e.level, e.message = take("level"), take("message")
	e.script, _ = fields["by_script"].(bool)
	delete(fields, "by_script")
	if fields["script"] != nil {
		e.name, e.kind, e.stack = take("script"), take("kind"), take("stack")
		if e.message == "a script failed" {
			e.failure = take("error")
		}
	}
	for _, name := range []string{"tenant", "request_id", "time", "method", "path"} { // the gateway's own
		delete(fields, name)
	}
	e.fields = fields
	return e, true
}

func (l *gatewayLog) all() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// describe writes what a developer needs who looks for a failure's cause.
func (l *gatewayLog) describe(b *strings.Builder) {
	entries := l.all()
	if n := len(entries) - maxDescribed; n > 0 {
		fmt.Fprintf(b, "(%d earlier lines of the log are left out)\n", n)
		entries = entries[n:]
	}
	for _, e := range entries {
		switch {
		case e.failure != "":
			fmt.Fprintf(b, "script error in %s: %s\n", e.name, e.failure)
			for _, frame := range frames(e.stack) {
				fmt.Fprintf(b, "    at %s\n", frame)
			}
		case e.script:
			fmt.Fprintf(b, "log %s: %s%s\n", e.level, e.message, describeFields(e.fields))
		case e.level == "warn" || e.level == "error":
			fmt.Fprintf(b, "gateway %s: %s%s\n", e.level, e.message, describeFields(e.fields))
		}
	}
}

func describeFields(fields map[string]any) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, " %s=%v", name, fields[name])
	}
	return b.String()
}
