package lua

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// cookieNames are the names that a cookie's table may have.
var cookieNames = []string{"name", "value", "path", "domain", "max_age", "expires", "secure", "http_only", "same_site"}

// responseCookie is response:cookie{…}. What is misspelt or of a wrong type is an
// error: the cookie would silently lack what protects it.
func responseCookie(L *glua.LState) int {
	c, n := self(L)
	t := cookieTable{L, n, vm.CheckTable(L, n)}
	t.checkNames()
	//nolint:gosec // G124: the three are set from safe defaults, which a script may override
	made := http.Cookie{
		Name: t.text("name"), Value: t.text("value"), Path: t.text("path"), Domain: t.text("domain"), SameSite: t.sameSite(),
		Secure: t.flag("secure", c.req.Scheme == "https"), HttpOnly: t.flag("http_only", true),
	}
	if age, ok := t.number("max_age"); ok {
		if made.MaxAge = int(age); made.MaxAge <= 0 {
			made.MaxAge = -1
		}
	}
	if at, ok := t.number("expires"); ok {
		made.Expires = time.Unix(int64(at), 0).UTC()
	}
	line, err := cookie.Line(&made)
	if err != nil {
		vm.ArgError(L, n, err.Error())
	}
	c.addResponseHeader(L, "Set-Cookie", line)
	return 0
}

// cookieTable is the n-th argument, which describes a cookie.
type cookieTable struct {
	L *glua.LState
	n int
	t *glua.LTable
}

func (c *cookieTable) checkNames() {
	for key, _ := vm.Next(c.L, c.t, glua.LNil); key != glua.LNil; key, _ = vm.Next(c.L, c.t, key) {
		name := vm.Clip(key.String())
		if slices.Contains(cookieNames, name) {
			continue
		}
		vm.ArgError(c.L, c.n, fmt.Sprintf("a cookie has no %q%s, expected %s", name, vm.Suggestion(name, cookieNames), strings.Join(cookieNames, ", ")))
	}
}

func (c *cookieTable) get(key string) glua.LValue { return c.L.GetField(c.t, key) }

func (c *cookieTable) wrong(key, expected string) {
	vm.ArgError(c.L, c.n, fmt.Sprintf("the cookie's %s is a %s, expected %s", key, c.get(key).Type(), expected))
}

func (c *cookieTable) text(key string) string {
	switch v := c.get(key).(type) {
	case glua.LString, glua.LNumber:
		return vm.Text(v)
	case *glua.LNilType:
	default:
		c.wrong(key, "a string")
	}
	return ""
}

func (c *cookieTable) flag(key string, otherwise bool) bool {
	switch v := c.get(key).(type) {
	case glua.LBool:
		return bool(v)
	case *glua.LNilType:
	default:
		c.wrong(key, "true or false")
	}
	return otherwise
}

// maxSeconds bounds what is taken for a time: some 30,000 years.
const maxSeconds = 1 << 40

func (c *cookieTable) number(key string) (n glua.LNumber, given bool) {
	switch v := c.get(key).(type) {
	case glua.LNumber:
		if !(math.Abs(float64(v)) <= maxSeconds) {
			vm.ArgError(c.L, c.n, fmt.Sprintf("the cookie's %s is %s, expected seconds", key, vm.Text(v)))
		}
		return v, true
	case *glua.LNilType:
	default:
		c.wrong(key, "a number")
	}
	return 0, false
}

func (c *cookieTable) sameSite() http.SameSite {
	switch site := c.text("same_site"); site {
	case "", "Lax", "lax":
		return http.SameSiteLaxMode
	case "Strict", "strict":
		return http.SameSiteStrictMode
	case "None", "none":
		return http.SameSiteNoneMode
	default:
		vm.ArgError(c.L, c.n, fmt.Sprintf("same_site is %q, expected Lax, Strict or None", vm.Clip(site)))
		return 0
	}
}
