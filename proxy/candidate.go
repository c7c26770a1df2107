package proxy

import (
	"errors"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// candidate is one tenant while a snapshot is made: what the configuration asks
// for, built by itself, so that what is wrong with it is no other's. What the
// snapshot holds of it in the end is that, or else its last good generation as a
// whole (match, scripts, pool), or else a refusal.
type candidate struct {
	asked    *tenants.Config
	last     *tenant        // the one in use, if it is good
	before   *Problem       // of the one in use
	policies *policy.Chain  // for asked; nil without
	routes   *routing.Table // for asked; nil without
	terms    *terms.Terms   // for asked
	scripts  *lua.Scripts   // for asked; nil without

	faults    settings.Errors // of its section
	unmatched bool            // its hosts are not known
	failure   error           // of its scripts
	failed    *loads.Load     // with that failure, or late
	late      bool            // its scripts are still being loaded
	conflict  error           // of its match, with another's
	wrong     int             // the domain that is meant; -1 is the prefix

	choice  route.Choice
	refused *route.Match
}

// good reports whether what is asked for can be used, as far as it is known.
func (c *candidate) good() bool {
	return c.faults == nil && c.failure == nil && !c.late && c.conflict == nil
}

// candidates are the tenants that a configuration asks for.
func (s *Server) candidates(c *Config) []candidate {
	s.shared.Announce(c.Store.Redis)
	current := map[string]*tenant{}
	if snap := s.current.Load(); snap != nil {
		for _, t := range snap.tenants {
			current[t.Name] = t
		}
	}
	list := make([]candidate, len(c.Tenants))
	for i := range list {
		asked := &c.Tenants[i]
		list[i] = candidate{asked: asked, faults: c.faults[i], unmatched: c.unmatched[i]}
		if t := current[asked.Name]; t != nil {
			if list[i].before = t.problem; t.Refuse == nil {
				list[i].last = t
			}
		}
		s.buildPolicies(c, &list[i])
	}
	return list
}

// buildPolicies builds what the candidate's policies are to be.
func (s *Server) buildPolicies(c *Config, of *candidate) {
	if !of.good() {
		return
	}
	if !of.asked.HasPolicies() { // what is kept for them ends
		_, _ = of.asked.BuildPolicies(keptOnly(s.keeps[of.asked.Name]), nil)
		of.routes, _ = of.asked.BuildRoutes(policy.Deps{Fetch: fetch.Config{Place: s.placeFor(of.asked.Name)}}, nil)
		return
	}
	deps, counter := s.policyDeps(c, of.asked)
	built, err := of.asked.BuildPolicies(deps, counter)
	if err == nil {
		of.routes, err = of.asked.BuildRoutes(deps, counter)
	}
	if err != nil {
		at := c.places[&of.asked.Name]
		of.faults = settings.Errors{{File: c.file, Line: at.line, Column: at.column, Message: c.redactor.Redact(err.Error())}}
		return
	}
	of.policies = built
}

// policyDeps are what the policies of a tenant may use, and where they are counted.
func (s *Server) policyDeps(c *Config, t *tenants.Config) (deps policy.Deps, counter func(name string) *policy.Counter) {
	deps = policy.Deps{Tenant: t.Name, Store: s.storeOf(t).memory, Fetch: fetch.Config{Own: s.owns, Hops: s.hops.First, Place: s.placeFor(t.Name)}}
	deps.Now, deps.Processor = s.scripts.clock.Now, func() func() { AcquireProcessor(); return ReleaseProcessor }
	deps.Shared, deps.WillShare = s.shared.Tenant(t.Name), c.Store.Redis != nil
	deps.Kept.Tenant, deps.Kept.Process = s.keptOf(t.Name), &s.kept
	return deps, s.statsOf(t.Name).PolicyCounter
}

func (s *Server) placeFor(tenant string) func() (giveBack func(), err error) {
	return func() (func(), error) { return s.places.Take(tenant) }
}

func keptOnly(kept *policy.Kept) (deps policy.Deps) {
	deps.Kept.Tenant = kept
	return deps
}

// arrange decides which tenants are in one table together.
func arrange(list []candidate) {
	wanted := make([]route.Candidate, len(list))
	for i := range list {
		c := &list[i]
		match := &route.Match{Domains: c.asked.Domains, PathPrefix: c.asked.PathPrefix}
		wanted[i] = route.Candidate{Name: c.asked.Name}
		if c.good() {
			wanted[i].Fresh = match
		}
		if c.last != nil {
			wanted[i].Last = &route.Match{Domains: c.last.Config.Domains, PathPrefix: c.last.Config.PathPrefix}
		} else if !c.unmatched {
			wanted[i].Refused = match
		}
	}
	for i, a := range route.Arrange(wanted) {
		c := &list[i]
		c.choice, c.refused, c.conflict, c.wrong = a.Choice, a.Refused, a.Conflict, a.Wrong
	}
}

// errorsOf collects what is wrong with tenants: settings.Errors, or nil.
func (c *Config) errorsOf(list []candidate) error {
	broken := brokenScripts{config: c}
	var all settings.Errors
	for i := range list {
		one := &list[i]
		all = append(all, one.faults...)
		if one.failure != nil {
			broken.add(one.asked, one.failure)
		}
		if one.conflict != nil {
			at := c.placeOfMatch(one.asked, one.wrong)
			all = append(all, settings.Error{File: c.file, Line: at.line, Column: at.column, Message: c.redactor.Redact(one.conflict.Error())})
		}
	}
	all = append(all, broken.errors()...)
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, compareErrors) // those of blocks that tenants share stand together
	return slices.Compact(all).Bounded(c.file)
}

// compose makes the tenants of a snapshot, and its table. The error is that
// nothing of it can be used, or, if the server is strict, that not all can.
func (s *Server) compose(snap *snapshot, list []candidate) error {
	arrange(list)
	wrong, taken := 0, 0
	for i := range list {
		switch c := &list[i]; {
		case c.choice == route.Fresh:
			taken++
		case !c.late:
			wrong++
		}
	}
	snap.wrong = snap.asked.errorsOf(list)
	if wrong > 0 && (taken == 0 || s.strict) {
		return snap.wrong
	}
	inUse := *snap.asked
	inUse.Tenants = make([]tenants.Config, len(list))
	snap.config, snap.scripts = &inUse, map[string]*lua.Scripts{}
	var pools []upstream.PoolConfig
	for i := range list {
		inUse.Tenants[i] = *list[i].asked
		if list[i].choice == route.Last {
			inUse.Tenants[i] = *list[i].last.Config
		}
		if list[i].choice != route.Nothing {
			pools = append(pools, poolConfigs(&inUse.Tenants[i])...)
		}
	}
	generation, err := s.registry.Build(pools)
	if err != nil {
		return err
	}
	entries := make([]boundEntry, 0, len(list))
	snap.failed = map[string]*loads.Load{}
	for i := range list {
		if failed := list[i].failed; failed != nil {
			snap.failed[list[i].asked.Name] = failed
		}
		t, match := s.tenantOf(snap, i, &list[i], generation)
		snap.tenants = append(snap.tenants, t)
		if match != nil {
			entry := route.Entry[*exchange.Tenant]{Name: t.Name, Domains: match.Domains, PathPrefix: match.PathPrefix, Value: &t.Tenant}
			t.listeners = snap.asked.listenersOf(inUse.Tenants[i].Listeners, list[i].choice == route.Nothing)
			entries = append(entries, boundEntry{entry, t.listeners})
		}
	}
	if snap.tables, err = buildTables(entries); err != nil {
		s.registry.Discard(generation)
		return err
	}
	snap.pools = generation
	return nil
}

// tenantOf compiles what was chosen for a candidate, and returns the match that
// it is served under; nil is none.
func (s *Server) tenantOf(snap *snapshot, i int, c *candidate, generation *upstream.Generation) (*tenant, *route.Match) {
	config := &snap.config.Tenants[i]
	if c.choice == route.Nothing {
		t := s.compileTenant(refusedConfig(config), generation)
		t.Bounds = snap.Bounds
		t.Refuse, t.problem = exchange.Misconfigured, s.problemOf(snap, c)
		return t, c.refused
	}
	t := s.compileTenant(config, generation)
	t.Bounds = snap.Bounds.Within(config)
	t.Terms, t.Certificates = c.terms, certificateFields(&config.ClientTLS)
	if c.choice == route.Last {
		t.Terms = c.last.Terms
		t.problem, t.Policies, t.Routes = s.problemOf(snap, c), c.last.Policies, c.last.Routes
		if t.Scripts = c.last.Scripts; !snap.config.LuaRouting.Enabled {
			t.Scripts = nil
		}
	} else {
		t.Scripts, t.Policies, t.Routes = c.scripts, c.policies, c.routes
	}
	if t.Scripted = tenants.ScriptPoliciesOf(t.Scripts); t.Scripts != nil {
		snap.scripts[t.Name] = t.Scripts
	} else if len(config.LuaRoutes) > 0 { // passing requests on would skip what a script was to refuse
		t.Refuse = exchange.ScriptsUnavailable
	}
	return t, &route.Match{Domains: config.Domains, PathPrefix: config.PathPrefix}
}

// refusedConfig is what there is to know of a tenant that isn't served: nothing
// that may be broken.
func refusedConfig(asked *tenants.Config) *tenants.Config {
	var config tenants.Config
	config.SetDefaults()
	config.Name, config.Domains, config.PathPrefix, config.LuaRoutes = asked.Name, asked.Domains, asked.PathPrefix, asked.LuaRoutes
	config.TLS = asked.TLS // so that the refusal can be read
	return &config
}

// poolConfigs are a tenant's pools.
func poolConfigs(c *tenants.Config) (list []upstream.PoolConfig) {
	for _, p := range c.AllPools() {
		list = append(list, upstream.PoolConfig{
			Name: c.Name, Pool: p.Name, Services: p.Services, Health: c.ProbesOf(&p.Health), Timeouts: p.Timeouts, Connections: p.Connections, Resilience: p.ResilienceConfig,
			GRPC: upstream.GRPCConfig{RetryOn: p.GRPC.RetryOn}, Balance: p.Balance.Algorithm(), Zone: p.Balance.Zone(),
		})
	}
	return list
}

// closeUnused frees the scripts of candidates that are neither in use nor in a
// snapshot, which may be nil.
func (s *Server) closeUnused(list []candidate, snap *snapshot) {
	for i := range list {
		scripts := list[i].scripts
		if scripts == nil || scripts == s.scriptsOf(list[i].asked.Name) || snap != nil && snap.scripts[list[i].asked.Name] == scripts {
			continue
		}
		scripts.Close()
	}
}

// problemOf says why a candidate isn't served as asked for, and since when it
// has been like that.
func (s *Server) problemOf(snap *snapshot, c *candidate) *Problem {
	p := &Problem{Tenant: c.asked.Name, State: Misconfigured, Since: snap.made, late: c.late}
	switch {
	case c.last != nil:
		p.State = Outdated
	case c.late:
		p.State = Loading
	}
	asked := *c
	if c.late {
		asked.failure = lua.BrokenScripts{{Script: c.firstScript(snap.asked), Err: errStillLoading}}
	}
	p.Errors = errorLines(snap.asked.errorsOf([]candidate{asked}))
	if len(p.Errors) > maxProblemErrors {
		p.Errors = append(p.Errors[:maxProblemErrors], "…")
	}
	if before := c.before; before != nil && before.State == p.State {
		p.Since = before.Since
	}
	return p
}

var errStillLoading = errors.New("the scripts are still being loaded")

// firstScript is the first script of the candidate, as the configuration names it.
func (c *candidate) firstScript(config *Config) string {
	return slices.Concat(config.LuaRouting.GlobalScripts, c.asked.LuaRoutes)[0]
}

// maxProblemErrors bounds the errors that are kept of one tenant.
const maxProblemErrors = 20

// Problem says that a tenant isn't served as the configuration asks for.
type Problem struct {
	Tenant string    `json:"tenant"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Errors []string  `json:"errors"` // "file:line:column: …"
	late   bool      // its scripts are still being loaded
}

// consequence is what the problem means for the tenant's requests.
func (p *Problem) consequence() string {
	switch p.State {
	case Outdated:
		return "the tenant is served as before: what the configuration asks for can't be used"
	case Loading:
		return "requests of the tenant are answered 503: its scripts are still being loaded"
	}
	return "requests of the tenant are answered 503: what the configuration asks for can't be used, and nothing that was served before"
}

// The states of a tenant that has a problem.
const (
	Outdated      = "outdated"      // its last good generation is served
	Misconfigured = "misconfigured" // it has none: its requests are refused
	Loading       = "loading"       // likewise, until its scripts are loaded
	Unloadable    = "unloadable"    // its scripts fail now when another VM is to be made
)
