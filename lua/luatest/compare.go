package luatest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// maxDepth bounds how deep tables are compared and shown.
const maxDepth = 50

// comparison compares two values: tables by what is in them, metatables left
// out, everything else as == does.
type comparison struct {
	L    *glua.LState
	path []string
	// Where the first difference is, and the values there.
	at               string
	expected, actual glua.LValue
}

func (c *comparison) equal(expected, actual glua.LValue) bool {
	vm.RunOf(c.L).Spend(c.L, 5)
	a, aTable := expected.(*glua.LTable)
	b, bTable := actual.(*glua.LTable)
	if !aTable || !bTable {
		if expected == actual {
			return true
		}
		return c.differ(expected, actual)
	}
	a, b = plain(a), plain(b)
	if a == b {
		return true
	}
	if len(c.path) > maxDepth {
		c.L.RaiseError("cannot compare tables that are nested deeper than %d", maxDepth)
	}
	for k, v := a.Next(glua.LNil); k != glua.LNil; k, v = a.Next(k) {
		if !c.step(k, v, b.RawGet(k)) {
			return false
		}
	}
	for k, v := b.Next(glua.LNil); k != glua.LNil; k, v = b.Next(k) {
		if a.RawGet(k) == glua.LNil && !c.step(k, glua.LNil, v) {
			return false
		}
	}
	return true
}

func (c *comparison) step(key, expected, actual glua.LValue) bool {
	c.path = append(c.path, index(key))
	defer func() { c.path = c.path[:len(c.path)-1] }()
	return c.equal(expected, actual)
}

func (c *comparison) differ(expected, actual glua.LValue) bool {
	c.at, c.expected, c.actual = strings.Join(c.path, ""), expected, actual
	return false
}

// index writes a key as it is used: ".name" or "[1]".
func index(key glua.LValue) string {
	if name, ok := key.(glua.LString); ok && isName(string(name)) {
		return "." + string(name)
	}
	return "[" + show(key) + "]"
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// maxShown bounds how a value is shown, in bytes.
const maxShown = 2000

// show writes a value as Lua would be written, names in order.
func show(v glua.LValue) string {
	var b strings.Builder
	write(&b, v, 0)
	return clip(b.String(), maxShown)
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

func write(b *strings.Builder, v glua.LValue, depth int) {
	if b.Len() > maxShown {
		return
	}
	switch v := v.(type) {
	case glua.LString:
		b.WriteString(quote(string(v)))
	case glua.LNumber, glua.LBool, *glua.LNilType:
		b.WriteString(v.String())
	case *glua.LTable:
		writeTable(b, plain(v), depth)
	default:
		b.WriteString(v.Type().String())
	}
}

// quote writes a string as in Lua; text beyond ASCII stays readable.
func quote(s string) string {
	quoted := strconv.Quote(clip(s, maxShown))
	return strings.ReplaceAll(quoted, `\x00`, `\0`)
}

// maxItems bounds how much of a table is shown.
const maxItems = 50

func writeTable(b *strings.Builder, t *glua.LTable, depth int) {
	if depth > 8 {
		b.WriteString("{…}")
		return
	}
	b.WriteByte('{')
	n := min(t.Len(), maxItems)
	for i := 1; i <= n; i++ {
		if i > 1 {
			b.WriteString(", ")
		}
		write(b, t.RawGet(glua.LNumber(i)), depth+1)
	}
	type pair struct {
		key   string
		value glua.LValue
	}
	var pairs []pair
	for k, v := t.Next(glua.LNil); k != glua.LNil && len(pairs) < 10*maxItems; k, v = t.Next(k) {
		if number, ok := k.(glua.LNumber); ok && number >= 1 && int(number) <= t.Len() {
			continue
		}
		key := strings.TrimPrefix(index(k), ".")
		pairs = append(pairs, pair{key, v})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	for i, p := range pairs {
		if i+n > 0 {
			b.WriteString(", ")
		}
		if i >= maxItems {
			b.WriteString("…")
			break
		}
		fmt.Fprintf(b, "%s = ", p.key)
		write(b, p.value, depth+1)
	}
	b.WriteByte('}')
}
