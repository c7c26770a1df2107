package modules

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

// CookieLine is the value of the Set-Cookie field that the n-th argument, a table,
// describes; secure is what it is where the table doesn't say. What is misspelt or of a
// wrong type is an error: the cookie would silently lack what protects it.
func CookieLine(L *glua.LState, n int, secure bool) string {
	t := cookieTable{L, n, vm.CheckTable(L, n)}
	t.checkNames()
	//nolint:gosec // G124: the three are set from safe defaults, which a script may override
	made := http.Cookie{
		Name: t.text("name"), Value: t.text("value"), Path: t.text("path"), Domain: t.text("domain"), SameSite: t.sameSite(),
		Secure: t.flag("secure", secure), HttpOnly: t.flag("http_only", true),
	}
	if age, ok := t.number("max_age"); ok {
		if made.MaxAge = int(age); made.MaxAge <= 0 {
			made.MaxAge = -1
		}
	}
	if at, ok := t.number("expires"); ok {
		made.Expires = time.Unix(int64(at), 0).UTC()
	}
	run := vm.RunOf(L)
	run.Charge(L, 2<<10)
	run.Spend(L, 50)
	line, err := cookie.Line(&made)
	if err != nil {
		vm.ArgError(L, n, vm.Clip(err.Error()))
	}
	return line
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

// text is a text that a Set-Cookie field has room for.
func (c *cookieTable) text(key string) string {
	text := ""
	switch v := c.get(key).(type) {
	case glua.LString, glua.LNumber:
		text = vm.Text(v)
	case *glua.LNilType:
	default:
		c.wrong(key, "a string")
	}
	if len(text) > cookie.MaxLine {
		vm.ArgError(c.L, c.n, fmt.Sprintf("the cookie's %s of %d bytes is too long, expected at most %d", key, len(text), cookie.MaxLine))
	}
	return text
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
