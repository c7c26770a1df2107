package modules

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// The bounds of cookies and keys, in bytes, and of how many keys there are.
const (
	cookieMaxValue = 4 << 10 // before it is signed
	cookieMaxKey   = 4 << 10
	cookieMaxKeys  = 16
)

// cookieKeyWork is what signing with one key, or deciphering, is counted as, in
// instructions, besides the bytes.
const cookieKeyWork = 60

// openCookie makes the module cookie: what clients send, what they are sent, and
// values that they can't make up (sign) or read (encrypt).
func openCookie(L *glua.LState, t *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"parse": cookieParse, "build": cookieBuild, "set": cookieSet,
		"keys": func(L *glua.LState) int { return cookieKeys(L, t) },
	})
}

// cookie.parse(text) -> table: the cookies of a Cookie field, by name; of several of a
// name the first, as request:cookie has it. text may be a list of fields
// (request:headers_all("Cookie")), and nil is no field.
func cookieParse(L *glua.LState) int {
	run := vm.RunOf(L)
	run.Charge(L, 256)
	run.Spend(L, 5)
	cookies := L.CreateTable(0, 0)
	switch v := L.Get(1).(type) {
	case *glua.LNilType:
		vm.CheckAny(L, 1)
	case *glua.LTable:
		list := plain(v)
		for i := 1; list.RawGetInt(i) != glua.LNil; i++ {
			text, ok := list.RawGetInt(i).(glua.LString)
			if !ok {
				vm.ArgError(L, 1, "the list must hold texts, not a "+list.RawGetInt(i).Type().String())
			}
			cookieParseInto(L, cookies, string(text))
		}
	default:
		cookieParseInto(L, cookies, vm.CheckString(L, 1))
	}
	L.Push(cookies)
	return 1
}

// cookieMaxField bounds a field that is parsed, in bytes; requests have shorter ones.
const cookieMaxField = 64 << 10

func cookieParseInto(L *glua.LState, cookies *glua.LTable, text string) {
	if len(text) > cookieMaxField {
		vm.ArgError(L, 1, fmt.Sprintf("a field of %d bytes is too long, expected at most %d", len(text), cookieMaxField))
	}
	run := vm.RunOf(L)
	name, value, rest, ok := cookie.Next(cookieView(text))
	for ; ok; name, value, rest, ok = cookie.Next(rest) {
		run.Spend(L, 10+(len(name)+len(value))/16)
		run.Charge(L, len(name)+len(value)+32)
		if key := glua.LString(name); cookies.RawGetString(string(key)) == glua.LNil {
			vm.SetRaw(L, cookies, key, glua.LString(value))
		}
	}
	run.Spend(L, len(text)/16)
}

// cookieView returns the bytes of a string, which nobody writes to.
func cookieView(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // G103: read only, and the caller keeps the string alive
}

// cookie.build(cookie) -> string: the value of a Set-Cookie field, of a table as
// response:cookie takes it; but secure is true unless it says otherwise.
func cookieBuild(L *glua.LState) int {
	line := CookieLine(L, 1, true)
	vm.RunOf(L).Charge(L, len(line)+16)
	L.Push(glua.LString(line))
	return 1
}

// cookie.set(response, cookie): adds a Set-Cookie field, as cookie.build makes it.
func cookieSet(L *glua.LState) int {
	response := vm.CheckUserData(L, 1)
	line := CookieLine(L, 2, true)
	vm.RunOf(L).Charge(L, len(line)+16)
	add, ok := L.GetField(response, "add_header").(*glua.LFunction)
	if !ok {
		vm.ArgError(L, 1, "response expected")
	}
	L.Push(add)
	L.Push(response)
	L.Push(glua.LString("Set-Cookie"))
	L.Push(glua.LString(line))
	L.Call(3, 0)
	return 0
}

// cookieRing is the value of what cookie.keys returns.
type cookieRing struct {
	keys  *cookie.Keys
	count int
	bytes int
}

// Size is vm.Sized's.
func (r *cookieRing) Size() int { return r.bytes }

// cookieVM is what the module keeps in each VM.
type cookieVM struct{ meta *glua.LTable }

func newCookieVM(t *Tenant) func(L *glua.LState) *cookieVM {
	return func(L *glua.LState) *cookieVM {
		methods := L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
			"sign":    func(L *glua.LState) int { return cookieSign(L, t) },
			"encrypt": func(L *glua.LState) int { return cookieEncrypt(L, t) },
			"verify":  func(L *glua.LState) int { return cookieRead(L, t, (*cookie.Keys).Verify) },
			"decrypt": func(L *glua.LState) int { return cookieRead(L, t, (*cookie.Keys).Open) },
		})
		state := &cookieVM{meta: L.CreateTable(0, 1)}
		state.meta.RawSetString("__index", vm.Freeze(L, "keys of cookies", methods))
		state.meta.RawSetString("__metatable", glua.LFalse)
		state.meta.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
			L.Push(glua.LString("keys of cookies")) // and nothing of them
			return 1
		}))
		return state
	}
}

// cookie.keys(list) -> keys: secrets of at least 32 bytes, at most 16 of them, or one.
// The first signs and encrypts, all of them verify and decrypt: so a new one is put in
// front, and the old one stays behind it until the cookies that it has signed are over.
// Make it when the script is loaded.
func cookieKeys(L *glua.LState, t *Tenant) int {
	o := options{L: L, arg: 1}
	var texts []string
	switch v := L.Get(1).(type) {
	case glua.LString:
		texts = []string{string(v)}
	case *glua.LTable:
		texts = o.strings("the list", v, cookieMaxKeys)
	default:
		vm.TypeError(L, 1, "list of keys")
	}
	run := vm.RunOf(L)
	ring := &cookieRing{count: len(texts), bytes: 128}
	list := make([][]byte, 0, len(texts))
	for _, text := range texts {
		if len(text) > cookieMaxKey {
			o.fail("a key is longer than %d bytes", cookieMaxKey)
		}
		run.Charge(L, len(text)+512)
		run.Spend(L, cookieKeyWork+len(text)/8)
		list, ring.bytes = append(list, []byte(text)), ring.bytes+len(text)+256
	}
	keys, err := cookie.NewKeys(list...)
	if err != nil {
		vm.ArgError(L, 1, err.Error())
	}
	run.Charge(L, 256)
	ring.keys = keys
	ud := L.NewUserData()
	ud.Value, ud.Metatable = ring, perVM(L, "keystone.cookie", newCookieVM(t)).meta
	L.Push(ud)
	return 1
}

func cookieSelf(L *glua.LState) *cookieRing {
	if ud, ok := L.Get(1).(*glua.LUserData); ok {
		if r, ok := ud.Value.(*cookieRing); ok {
			return r
		}
	}
	vm.ArgError(L, 1, "keys of cookies expected")
	return nil
}

// keys:sign(name, value, max_age) -> string: what a cookie of that name has for its
// value so that keys:verify gives the value back: it can be read, and not changed, for
// max_age seconds.
func cookieSign(L *glua.LState, t *Tenant) int {
	r, name, value, expires := cookieMade(L, t)
	pushShort(L, r.keys.Sign(name, []byte(value), expires))
	return 1
}

// keys:encrypt(name, value, max_age) -> string: as keys:sign, and it can't be read
// either.
func cookieEncrypt(L *glua.LState, t *Tenant) int {
	r, name, value, expires := cookieMade(L, t)
	text, err := r.keys.Seal(t.Random, name, []byte(value), expires)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	pushShort(L, text)
	return 1
}

// cookieMade reads what is to be signed, and counts the work.
func cookieMade(L *glua.LState, t *Tenant) (r *cookieRing, name, value string, expires time.Time) {
	r = cookieSelf(L)
	name, value = cookieName(L), vm.CheckString(L, 3)
	if len(value) > cookieMaxValue {
		vm.ArgError(L, 3, fmt.Sprintf("a value of %d bytes is too long for a cookie, expected at most %d", len(value), cookieMaxValue))
	}
	age := checkNumber(L, 4)
	if !(age >= 1 && age <= maxSeconds) {
		vm.ArgError(L, 4, "seconds expected, 1 or more")
	}
	run := vm.RunOf(L)
	run.Charge(L, 8*(len(name)+len(value))+1<<10)
	run.Spend(L, cookieKeyWork+(len(name)+len(value))/2)
	return r, name, value, t.Clock.Now().Add(time.Duration(min(age, cookieMaxAge)) * time.Second)
}

// cookieMaxAge is the longest life that a time has room for: a century.
const cookieMaxAge = 100 * 365 * 24 * 3600

func cookieName(L *glua.LState) string {
	name := vm.CheckString(L, 2)
	if name == "" || len(name) > 256 {
		vm.ArgError(L, 2, "a cookie's name expected, of at most 256 bytes")
	}
	return name
}

var errNoCookie = errors.New("there is no cookie")

// cookieRead is keys:verify and keys:decrypt.
//
// keys:verify(name, text) -> value | nil, message: the value that keys:sign was given
// for a cookie of that name, if it hasn't expired. text may be nil, as request:cookie
// returns it.
//
// keys:decrypt(name, text) -> value | nil, message: likewise of keys:encrypt.
func cookieRead(L *glua.LState, t *Tenant, read func(k *cookie.Keys, name, text string, now time.Time) ([]byte, error)) int {
	r, name := cookieSelf(L), cookieName(L)
	if L.Get(3) == glua.LNil {
		return failed(L, errNoCookie)
	}
	text := vm.CheckString(L, 3)
	if len(text) > cookie.MaxLine {
		return failed(L, cookie.ErrSigned)
	}
	run := vm.RunOf(L)
	run.Charge(L, 8*(len(name)+len(text))+1<<10)
	run.Spend(L, r.count*(cookieKeyWork+(len(name)+len(text))/4))
	value, err := read(r.keys, name, text, t.Clock.Now())
	if err != nil {
		return failed(L, err)
	}
	L.Push(glua.LString(value))
	return 1
}
