package tenants

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// ScriptPolicies are the policies that one tenant's scripts ask for, by the module
// keystone.policy: built by the same contract as those of the configuration, and of the
// same language, which scripts write as tables. All VMs of the scripts share what is
// built. Its methods may be called at once.
type ScriptPolicies struct {
	tenant  *Config
	deps    policy.Deps
	counter func(name string) *policy.Counter

	owned atomic.Pointer[ownedByScripts] // nil is nothing

	mu    sync.Mutex
	built map[string]*policy.Chain // by place and configuration; guarded by mu, as is kinds
	kinds map[string][]policy.Section
}

// ownedByScripts are the fields that only policies of the scripts write.
type ownedByScripts struct {
	names []string
	set   message.NameSet
}

// maxScriptPolicies bounds what scripts ask for, in all VMs together: one that asks for
// another configuration each time that it is loaded is none of those that can be used.
const maxScriptPolicies = 4 * maxPolicies

// NewScriptPolicies makes what builds the policies of the tenant's scripts. deps are
// those of the configuration's policies; what scripts may connect to holds for their
// policies too.
func (c *Config) NewScriptPolicies(deps policy.Deps, counter func(name string) *policy.Counter) *ScriptPolicies {
	allow, deny := c.Lua.HTTP.Permissions()
	if deps.Fetch.Deny = deny; allow == nil {
		allow = []fetch.Permission{}
	}
	deps.Fetch.Within = allow
	return &ScriptPolicies{tenant: c, deps: deps, counter: counter}
}

// notForScripts are the policies that scripts can't ask for, and what they do instead.
var notForScripts = map[string]string{
	"cors":             "it answers preflights before any script is asked, and is asked about all responses",
	"headers":          "scripts set fields themselves, with request:set_header and response:header",
	"security_headers": "scripts set fields themselves, with response:header",
	"errors":           "it words errors that come of no script",
}

// Offers says why scripts can't ask for a policy of that name; nil: they can.
func (p *ScriptPolicies) Offers(kind string) error {
	if why, ok := notForScripts[kind]; ok {
		return fmt.Errorf("policy %s is for the configuration only: %s", kind, why)
	}
	var offered []string
	for _, named := range policy.Kinds(Policy{}) {
		if notForScripts[named.Name] == "" {
			offered = append(offered, named.Name)
		}
	}
	if slices.Contains(offered, kind) {
		return nil
	}
	hint := ""
	if near := spelling.Nearest(kind, offered); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return fmt.Errorf("there is no policy %.40q%s, expected one of %s", kind, hint, strings.Join(offered, ", "))
}

// Build builds a policy that Offers has passed, of its configuration as JSON. number
// tells those of a kind apart which one load asks for, from 0: the same one has the same
// number in each VM, and after a reload, and so goes on counting. What it returns is a
// *policy.Chain of it alone; size is about what that takes, in bytes.
func (p *ScriptPolicies) Build(kind string, number int, config []byte) (built any, size int, err error) {
	place := fmt.Sprintf("scripts.%s[%d]", kind, number)
	key := place + "\n" + string(config)
	p.mu.Lock()
	defer p.mu.Unlock()
	if chain := p.built[key]; chain != nil {
		return chain, scriptPolicyBytes, nil // which another VM has paid for
	}
	if number >= maxPolicies || len(p.built) >= maxScriptPolicies {
		return nil, 0, fmt.Errorf("too many policies, expected at most %d of a kind", maxPolicies)
	}
	section, err := p.section(kind, config)
	if err != nil {
		return nil, 0, err
	}
	deps := p.deps
	deps.Place, deps.Earlier = place, p.earlier(kind)
	chain, err := policy.Build([]policy.Named{{Name: kind, Section: section}}, deps, p.counter)
	if err != nil {
		return nil, 0, err
	}
	if p.built == nil {
		p.built, p.kinds = map[string]*policy.Chain{}, map[string][]policy.Section{}
	}
	p.built[key], p.kinds[kind] = chain, append(p.kinds[kind], section)
	p.own(chain.Owns())
	return chain, scriptPolicyBytes + 32*len(config), nil
}

// scriptPolicyBytes is about what a policy takes besides its configuration.
const scriptPolicyBytes = 16 << 10

// section decodes and checks a configuration, as one of a configuration's.
func (p *ScriptPolicies) section(kind string, config []byte) (policy.Section, error) {
	var into struct {
		Policy Policy `yaml:"policy"`
	}
	text := slices.Concat([]byte(`{"policy": {"`+kind+`": `), config, []byte("}}"))
	document := settings.Decode("", text, &into, nil)
	list := policy.Of(&into.Policy)
	if len(list) == 1 {
		policy.CheckOne(&into.Policy, "policy", document)
		policy.LoadOne(&into.Policy, "policy", refuseFiles, document)
		if d, ok := list[0].Section.(policy.Distinct); ok {
			for _, earlier := range p.earlier(kind) {
				if field, wrong := d.Clash(earlier); wrong != "" {
					document.Errorf(field, "policy.%s: %s of another one", kind, wrong)
				}
			}
		}
	}
	if err := document.Err(); err != nil {
		return nil, wordsOf(err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("the settings of %s are missing", kind)
	}
	return list[0].Section, nil
}

// refuseFiles is what reads the files that a policy of a script names.
func refuseFiles(string, int64) ([]byte, error) {
	return nil, errors.New("scripts can't reach files: write what is in it here, or have the policy in the configuration")
}

// wordsOf are the findings without places, which mean nothing to a script.
func wordsOf(err error) error {
	list, ok := errors.AsType[settings.Errors](err)
	if !ok {
		return err
	}
	words := make([]string, len(list))
	for i := range list {
		words[i] = list[i].Message
	}
	return errors.New(strings.Join(words, "; "))
}

// earlier are the sections of a kind that requests pass before: the tenant's, and those
// that scripts have asked for.
func (p *ScriptPolicies) earlier(kind string) (list []policy.Section) {
	for i := range p.tenant.Policies {
		for _, named := range policy.Of(&p.tenant.Policies[i]) {
			if named.Name == kind {
				list = append(list, named.Section)
			}
		}
	}
	return append(list, p.kinds[kind]...)
}

func (p *ScriptPolicies) own(names []string) {
	if len(names) == 0 {
		return
	}
	all := slices.Clone(names)
	if have := p.owned.Load(); have != nil {
		all = append(all, have.names...)
	}
	p.owned.Store(&ownedByScripts{names: all, set: message.NewNameSet(all)})
}

// DropOwned marks the fields that only policies of the scripts may write as Dropped,
// whether or not a script asks the policy about this request. nil has none.
func (p *ScriptPolicies) DropOwned(h message.Header) {
	if p == nil {
		return
	}
	if owned := p.owned.Load(); owned != nil {
		owned.set.Drop(h)
	}
}

// Chains are the policies that were built.
func (p *ScriptPolicies) Chains() (list []*policy.Chain) {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, chain := range p.built {
		list = append(list, chain)
	}
	return list
}

// ScriptPoliciesOf are those that scripts were loaded with; nil is none.
func ScriptPoliciesOf(s *lua.Scripts) *ScriptPolicies {
	if s == nil {
		return nil
	}
	p, _ := s.Policies().(*ScriptPolicies)
	return p
}
