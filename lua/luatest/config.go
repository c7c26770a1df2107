package luatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Keys of config{} that are not the tenant's.
const (
	keyTenant   = "tenant"   // the tenant's name
	keyEnv      = "env"      // variables that scripts may read, with their values
	keyServices = "services" // names of mocks, or false
	keyGateway  = "gateway"  // settings outside of tenants
)

// defaultService is the mock that upstream is, unless services says otherwise.
const defaultService = "default"

// scripts is the function scripts(name, …).
func (f *file) scripts(L *glua.LState) int {
	to := f.settingsOf(L)
	names := []string{}
	for i := 1; i <= L.GetTop(); i++ {
		names = append(names, vm.CheckString(L, i))
	}
	to.scripts = names
	return 0
}

// config is the function config{…}: it is laid over what is there already.
func (f *file) config(L *glua.LState) int {
	to := f.settingsOf(L)
	c := converter{L: L}
	value, ok := c.value(vm.CheckTable(L, 1), 0).(map[string]any)
	if !ok {
		vm.ArgError(L, 1, "expected a table with names, such as {path_prefix = \"/api\"}")
	}
	if err := checkOwnKeys(value); err != nil {
		vm.ArgError(L, 1, err.Error())
	}
	to.config = merge(to.config, value)
	return 0
}

func checkOwnKeys(value map[string]any) error {
	if name, ok := value[keyTenant]; ok {
		if _, ok := name.(string); !ok {
			return errors.New("tenant must be the tenant's name")
		}
	}
	if env, ok := value[keyEnv]; ok {
		list, ok := env.(map[string]any)
		if !ok {
			return errors.New("env must be a table of names and values")
		}
		for name, v := range list {
			if _, ok := v.(string); !ok || name == "" || strings.ContainsAny(name, "=\x00") {
				return fmt.Errorf("env.%s must be a string", name)
			}
		}
	}
	if gateway, ok := value[keyGateway]; ok {
		if _, ok := gateway.(map[string]any); !ok {
			return errors.New("gateway must be a table of settings outside of tenants")
		}
	}
	_, err := serviceList(value[keyServices])
	return err
}

// converter makes Go values, as encoding/json has them, of Lua's.
type converter struct {
	L     *glua.LState
	count int
}

func (c *converter) value(v glua.LValue, depth int) any {
	if c.count++; c.count > 10_000 || depth > 20 {
		vm.ArgError(c.L, 1, "the table is too large or contains itself")
	}
	vm.RunOf(c.L).Spend(c.L, 10)
	switch v := v.(type) {
	case glua.LString:
		return string(v)
	case glua.LBool:
		return bool(v)
	case glua.LNumber:
		n := float64(v)
		if math.IsNaN(n) || math.IsInf(n, 0) {
			vm.ArgError(c.L, 1, "a number is not finite")
		}
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int64(n)
		}
		return n
	case *glua.LTable:
		return c.table(v, depth)
	}
	vm.ArgError(c.L, 1, fmt.Sprintf("a %s is not a setting", v.Type()))
	return nil
}

func (c *converter) table(t *glua.LTable, depth int) any {
	t = plain(t)
	if n := t.Len(); n > 0 {
		list := make([]any, 0, min(n, 100))
		for i := 1; i <= n; i++ {
			list = append(list, c.value(t.RawGet(glua.LNumber(i)), depth+1))
		}
		return list
	}
	named := map[string]any{}
	for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
		name, ok := k.(glua.LString)
		if !ok {
			vm.ArgError(c.L, 1, "settings have names")
		}
		named[string(name)] = c.value(v, depth+1)
	}
	return named
}

// plain returns the table to read from: a frozen one's content.
func plain(t *glua.LTable) *glua.LTable {
	if content := vm.Frozen(t); content != nil {
		return content
	}
	return t
}

// merge lays one table of settings over another; neither is changed.
func merge(below, above map[string]any) map[string]any {
	merged := maps.Clone(below)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, value := range above {
		if upper, ok := value.(map[string]any); ok {
			if lower, ok := merged[name].(map[string]any); ok {
				value = merge(lower, upper)
			}
		}
		merged[name] = value
	}
	return merged
}

// service is a target of the tenant, answered for by the mock of that name.
type service struct {
	name     string
	settings map[string]any
}

// serviceList reads services: false for none, or a list of names or of tables
// with a name and settings of tenants[].services.
func serviceList(value any) ([]service, error) {
	const expected = "services must be false, or a list of names such as {\"users\", \"orders\"}, or of tables such as {name = \"users\", weight = 3}"
	switch value := value.(type) {
	case nil:
		return []service{{name: defaultService}}, nil
	case bool:
		if value {
			return []service{{name: defaultService}}, nil
		}
		return nil, nil
	case map[string]any:
		if len(value) > 0 {
			return nil, errors.New(expected)
		}
		return nil, nil
	case []any:
		var list []service
		for _, entry := range value {
			switch entry := entry.(type) {
			case string:
				list = append(list, service{name: entry})
			case map[string]any:
				name, _ := entry["name"].(string)
				list = append(list, service{name: name, settings: entry})
			}
			if n := len(list); n == 0 || list[n-1].name == "" {
				return nil, errors.New(expected)
			}
		}
		return list, nil
	}
	return nil, errors.New(expected)
}

// plan is what a gateway is started with.
type plan struct {
	file     string // which errors name
	config   *proxy.Config
	env      map[string]string
	services []string
	host     string // that requests go to unless they say otherwise
}

// plan puts together what the groups around a test and the test itself
// configure. urls are the addresses of mocks by name, made as needed.
func (f *file) plan(t *testCase, url func(name string) (string, error)) (*plan, error) {
	names := []string{f.script()}
	var layers []map[string]any // the innermost first
	chosen := false
	for g := &t.own; g != nil; g = g.parent {
		if g.scripts != nil && !chosen {
			names, chosen = g.scripts, true
		}
		layers = append(layers, g.config)
	}
	tenant := map[string]any{}
	for _, layer := range slices.Backward(layers) {
		tenant = merge(tenant, layer)
	}
	p := &plan{file: f.name + ": config"}
	return p, p.build(f, tenant, names, url)
}

func (p *plan) build(f *file, tenant map[string]any, scripts []string, url func(string) (string, error)) error {
	list, err := serviceList(tenant[keyServices])
	if err != nil {
		return err
	}
	services := []any{}
	for _, s := range list {
		address, err := url(s.name)
		if err != nil {
			return err
		}
		services = append(services, merge(s.settings, map[string]any{"name": s.name, "url": address}))
		p.services = append(p.services, s.name)
	}
	name, ok := tenant[keyTenant].(string)
	if !ok {
		name = f.tenant()
	}
	gateway, _ := tenant[keyGateway].(map[string]any)
	tenant = reachMocks(tenant)
	p.environment(tenant)
	for _, key := range []string{keyTenant, keyGateway, keyEnv} {
		delete(tenant, key)
	}
	tenant["name"], tenant["services"], tenant["lua_routes"] = name, services, scripts
	_, domains := tenant["domains"]
	_, prefix := tenant["path_prefix"]
	if !domains && !prefix {
		tenant["path_prefix"] = "/"
	}
	if err := p.parse(merge(gateway, f.gatewaySettings(tenant))); err != nil {
		return err
	}
	if domains := p.config.Tenants[0].Domains; len(domains) > 0 {
		p.host = strings.Replace(domains[0], "*", "www", 1)
	}
	return nil
}

// mockNetwork is where mocks are, which scripts can't reach by default.
const mockNetwork = "127.0.0.0/8"

// reachMocks returns a copy of the settings that lets scripts ask mocks.
func reachMocks(tenant map[string]any) map[string]any {
	section, _ := tenant["lua"].(map[string]any)
	client, _ := section["http"].(map[string]any)
	allowed, _ := client["allow"].([]any)
	return merge(tenant, map[string]any{"lua": map[string]any{"http": map[string]any{
		"allow": append(slices.Clone(allowed), mockNetwork),
	}}})
}

// environment makes the names in env those that scripts may read.
func (p *plan) environment(tenant map[string]any) {
	env, ok := tenant[keyEnv].(map[string]any)
	if !ok {
		return
	}
	p.env = map[string]string{}
	section, _ := tenant["lua"].(map[string]any)
	names, _ := section[keyEnv].([]any)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.env[name], _ = env[name].(string)
		names = append(names, name)
	}
	tenant["lua"] = merge(section, map[string]any{keyEnv: names})
}

// gatewaySettings are those that tests can't choose.
func (f *file) gatewaySettings(tenant map[string]any) map[string]any {
	return map[string]any{
		"server":      map[string]any{"address": "127.0.0.1:0", "drain_timeout": "1s"},
		"admin":       map[string]any{"enabled": false},
		"access_log":  map[string]any{"enabled": false},
		"lua_routing": map[string]any{"enabled": true, "scripts_dir": f.runner.options.Dir},
		"tenants":     []any{tenant},
	}
}

// parse checks the settings as if they stood in a configuration file: JSON is
// YAML.
func (p *plan) parse(all map[string]any) error {
	text, err := json.Marshal(literal(all, false))
	if err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	if p.config, err = proxy.Parse(filepath.Clean(p.file), text); err == nil {
		err = p.config.Err()
	}
	list, ok := errors.AsType[settings.Errors](err)
	if !ok {
		return err
	}
	var messages []string
	for _, e := range list { // without places in a text that nobody has seen
		messages = append(messages, e.Message)
	}
	return fmt.Errorf("config: %s", strings.Join(messages, "; "))
}

// literal returns settings as a file would have them: what tests write is meant
// literally, but for the variables of requests that policies know.
func literal(value any, ofPolicies bool) any {
	switch value := value.(type) {
	case string:
		text := strings.ReplaceAll(value, "${", "$${")
		if ofPolicies {
			for _, name := range (*policy.Template)(nil).LaterVariables() {
				text = strings.ReplaceAll(text, "$${"+name+"}", "${"+name+"}")
			}
		}
		return text
	case []string: // names of scripts
		list := make([]any, len(value))
		for i, name := range value {
			list[i] = literal(name, ofPolicies)
		}
		return list
	case []any:
		list := make([]any, len(value))
		for i := range value {
			list[i] = literal(value[i], ofPolicies)
		}
		return list
	case map[string]any:
		named := make(map[string]any, len(value))
		for name, v := range value {
			named[name] = literal(v, ofPolicies || name == "policies")
		}
		return named
	}
	return value
}
