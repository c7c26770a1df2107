package lua

import (
	"errors"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Judge is an Exchange of which scripts can ask policies.
type Judge interface {
	// JudgePolicy asks a policy that Options.Policies has built, and reports whether the
	// request passes; if not, the response is what the policy answers. An error is one of
	// the script's that asks, an *Ending, or ErrGone. It waits.
	JudgePolicy(built any) (passed bool, err error)
}

var errNoJudge = errors.New("no policy can be asked about this request")

// NextPolicy is modules.Declaring's.
func (l *loading) NextPolicy(kind string) (number int) {
	if l.asked == nil {
		l.asked = map[string]int{}
	}
	number = l.asked[kind]
	l.asked[kind]++
	return number
}

// JudgePolicy is modules.Judging's.
func (c *call) JudgePolicy(L *glua.LState, built any) (passed bool) {
	current(L)
	for n := 2; n <= 3 && L.GetTop() > 1; n++ { // without them it is the request that runs
		vm.CheckUserData(L, n)
		objectsAt(L, n).of.call(L)
	}
	c.before(L, "policy:judge")
	if c.resp.Begun {
		L.RaiseError("the response has begun: no policy can be asked any more")
	}
	judge, ok := c.exchange.(Judge)
	if !ok {
		L.RaiseError("%s", errNoJudge.Error())
	}
	var err error
	c.run.Yield(L, func() { passed, err = judge.JudgePolicy(built) })
	if err != nil {
		c.failWith(L, err)
	}
	return passed
}
