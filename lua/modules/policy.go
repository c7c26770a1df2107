package modules

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// Policies builds the policies that scripts ask for. Its methods may be called at once.
type Policies interface {
	// Offers says why there is no policy of a name for scripts; nil: there is one.
	Offers(kind string) error
	// Build builds one of its configuration, as JSON, and returns it with about how
	// many bytes it takes. number tells those of a kind apart which one load asks for,
	// from 0.
	Build(kind string, number int, config []byte) (built any, size int, err error)
}

// Declaring is implemented by the owner of a run that loads scripts.
type Declaring interface {
	// NextPolicy numbers the policies of a kind that the scripts ask for, from 0.
	NextPolicy(kind string) (number int)
}

// Judging is implemented by the owner of a run that serves a request.
type Judging interface {
	// JudgePolicy asks a policy that Policies has built about the request, and reports
	// whether it lets it pass; if not, its answer is the response. The arguments of the
	// function that runs are the policy, and perhaps the request and the response.
	JudgePolicy(L *glua.LState, built any) (passed bool)
}

// policyMaxConfig bounds a policy's configuration as JSON, in bytes.
const policyMaxConfig = 64 << 10

// What decoding, checking and building a policy is counted as, in instructions: so
// much, and so much for each byte of its configuration.
const (
	policyWork     = 20_000
	policyByteWork = 100
)

// scriptPolicy is the value of what policy.new returns.
type scriptPolicy struct {
	kind  string
	built any
	size  int
}

// Size is vm.Sized's.
func (p *scriptPolicy) Size() int { return p.size }

// policyVM is what the module keeps in each VM.
type policyVM struct{ meta *glua.LTable }

func newPolicyVM(L *glua.LState) *policyVM {
	methods := L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{"judge": policyJudge})
	state := &policyVM{meta: L.CreateTable(0, 1)}
	state.meta.RawSetString("__index", vm.Freeze(L, "a policy", methods))
	state.meta.RawSetString("__metatable", glua.LFalse)
	state.meta.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LString("policy " + policySelf(L).kind))
		return 1
	}))
	return state
}

// openPolicy makes the module policy: the policies of the configuration, asked by
// scripts where they like.
func openPolicy(L *glua.LState, t *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"new": func(L *glua.LState) int { return policyNew(L, t) },
	})
}

// policy.new(name, config?) -> policy: a policy, configured as in tenants[].policies:
// policy.new("rate_limit", {rate = "10/s", by = "client"}). Only while scripts are
// loaded. All VMs share what it counts, and a reload doesn't begin anew.
func policyNew(L *glua.LState, t *Tenant) int {
	run := vm.RunOf(L)
	loading, ok := run.Owner.(Declaring)
	if !ok {
		L.RaiseError("policy.new can only be called while the script is loaded, not while a request runs")
	}
	kind := vm.CheckString(L, 1)
	config := vm.OptTable(L, 2, nil)
	if t.Policies == nil {
		L.RaiseError("there are no policies here")
	}
	if err := t.Policies.Offers(vm.Clip(kind)); err != nil {
		vm.ArgError(L, 1, err.Error())
	}
	text := []byte("{}")
	if config != nil {
		var err error
		if text, err = EncodeJSON(L, config); err != nil {
			vm.ArgError(L, 2, cause.Text(err))
		}
	}
	if len(text) > policyMaxConfig {
		vm.ArgError(L, 2, fmt.Sprintf("a configuration of %d bytes is too long, expected at most %d", len(text), policyMaxConfig))
	}
	run.Charge(L, policyMaxConfig+32*len(text))
	run.Spend(L, policyWork+policyByteWork*len(text))
	built, size, err := t.Policies.Build(kind, loading.NextPolicy(kind), text)
	if err != nil {
		message := err.Error()
		vm.ArgError(L, 2, message[:min(len(message), 1<<10)])
	}
	run.Charge(L, size)
	ud := L.NewUserData()
	ud.Value, ud.Metatable = &scriptPolicy{kind: kind, built: built, size: size}, perVM(L, "keystone.policy", newPolicyVM).meta
	L.Push(ud)
	return 1
}

func policySelf(L *glua.LState) *scriptPolicy {
	if ud, ok := L.Get(1).(*glua.LUserData); ok {
		if p, ok := ud.Value.(*scriptPolicy); ok {
			return p
		}
	}
	vm.ArgError(L, 1, "policy expected")
	return nil
}

// policyJudgeWork is what asking is counted as, in instructions, besides what waits.
const policyJudgeWork = 50

// policy:judge(request?, response?) -> boolean: whether the policy lets the request pass.
// If not, the response is what it answers: return then, without next. Without arguments it
// is the request that runs, and no memory is needed for handing them on.
func policyJudge(L *glua.LState) int {
	p := policySelf(L)
	run := vm.RunOf(L)
	run.Spend(L, policyJudgeWork)
	request, ok := run.Owner.(Judging)
	if !ok {
		L.RaiseError("there is no request for a policy to be asked about")
	}
	L.Push(glua.LBool(request.JudgePolicy(L, p.built)))
	return 1
}
