package vm

import (
	"math/rand/v2"
	"reflect"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// tableParts is what gopher-lua's table consists of, field by field. The
// engine reads tables by itself; what scripts write goes through this file, so
// that a table has no more memory than what is in it accounts for:
//   - An array ends with its last element, and has room for at most four times
//     as many.
//   - Of the keys that were deleted there are never more than of the others,
//     but for a few, once a key has been added.
type tableParts struct {
	metatable glua.LValue
	array     []glua.LValue
	dict      map[glua.LValue]glua.LValue // of keys that are no strings
	strdict   map[string]glua.LValue
	keys      []glua.LValue // of both maps in order, with those that were deleted
	k2i       map[glua.LValue]int
}

// positions is how many positions tables have in their array: the keys from 1
// up to it. A larger key is one of the hash part, so that t[1000000] takes some
// bytes. An array's slot takes 16 bytes, a key about 165 and ten times the time:
// with this number a table with one position has at most 600 KiB of slots, and
// one of 100,000 elements takes 12 MiB.
var positions = func() int {
	checkLayout(reflect.TypeFor[glua.LTable](), reflect.TypeFor[tableParts]())
	const most = 1 << 15
	glua.MaxArrayIndex = most
	return most - 1
}()

// checkLayout makes sure that a type of gopher-lua's has the fields of ours: a
// gopher-lua that is built otherwise must not start.
func checkLayout(theirs, ours reflect.Type) {
	if theirs.NumField() != ours.NumField() {
		panic("BUG: gopher-lua's " + theirs.String() + " has other fields")
	}
	for i := range ours.NumField() {
		a, b := theirs.Field(i), ours.Field(i)
		if a.Type != b.Type || a.Offset != b.Offset || (a.Name != b.Name && a.Name != "Metatable") {
			panic("BUG: gopher-lua's " + theirs.String() + "." + a.Name + " is not what it was")
		}
	}
}

func partsOf(t *glua.LTable) *tableParts {
	return (*tableParts)(unsafe.Pointer(t)) //nolint:gosec // G103: the layout has been checked
}

// get is the value of a key of the hash part; nil is none.
func (p *tableParts) get(k glua.LValue) glua.LValue {
	if s, ok := k.(glua.LString); ok {
		return p.strdict[string(s)]
	}
	return p.dict[k]
}

func (p *tableParts) alive() int { return len(p.strdict) + len(p.dict) }

// position is a key as an index of the array, from 1.
func position(k glua.LValue) (i int, ok bool) {
	n, ok := k.(glua.LNumber)
	if !ok || !(n >= 1 && n <= glua.LNumber(positions)) {
		return 0, false
	}
	i = int(n)
	return i, glua.LNumber(i) == n
}

// What tables take, in bytes, growing included. TestTableBytes measures it.
const (
	slotBytes   = 16
	newKeyBytes = 200 // a key that the table didn't have
	hashBytes   = 700 // the first key
	firstSlots  = 4
)

// SetRaw is t[k] = v without metamethods, counted on the run. It doesn't look
// whether t is frozen.
func SetRaw(L *glua.LState, t *glua.LTable, k, v glua.LValue) {
	v = alone(L, v)
	if i, ok := position(k); ok {
		setPosition(L, partsOf(t), i, v)
		return
	}
	switch key := k.(type) {
	case glua.LNumber:
		if key != key {
			L.RaiseError("table index is NaN")
		}
		k = alone(L, k)
	case glua.LString:
		RunOf(L).SpendKey(L, key)
	case *glua.LNilType:
		L.RaiseError("table index is nil")
	}
	setKey(L, t, k, v)
}

// always is below which the engine has every integer made from the start.
const always = 128

// alone returns a number in memory of its own: the engine makes 32 at once, and
// one that is kept keeps them all.
func alone(L *glua.LState, v glua.LValue) glua.LValue {
	if n, ok := v.(glua.LNumber); ok && !(n >= 0 && n < always && n == glua.LNumber(int(n))) {
		RunOf(L).charge(L, 2*numberBytes)
		return n
	}
	return v
}

// setPosition is t[i] = v, where i is one of the array.
func setPosition(L *glua.LState, p *tableParts, i int, v glua.LValue) {
	n := len(p.array)
	switch {
	case i <= n && v != glua.LNil:
		p.array[i-1] = v
	case i < n:
		p.array[i-1] = glua.LNil
	case i == n:
		p.array[i-1] = glua.LNil
		p.cut()
	case v != glua.LNil:
		p.reach(L, i) // which may let others change the table
		for len(p.array) < i {
			p.array = append(p.array, glua.LNil)
		}
		p.array[i-1] = v
	}
}

// reach makes room for i slots.
func (p *tableParts) reach(L *glua.LState, i int) {
	n, room := len(p.array), cap(p.array)
	if i <= room {
		return
	}
	larger := max(i, firstSlots)
	if i <= 2*room { // it grows, rather than that one is far away
		larger = max(i, min(2*room, room+room/4+256))
	}
	run := RunOf(L)
	run.ChargeItems(L, larger-room, 2*slotBytes) // the old one is garbage
	run.Spend(L, (i-n)/8+n/16)
	p.array = append(make([]glua.LValue, 0, larger), p.array...)
}

// cut ends the array with its last element.
func (p *tableParts) cut() {
	n := len(p.array)
	for n > 0 && p.array[n-1] == glua.LNil {
		n--
	}
	p.array = p.array[:n]
	if room := cap(p.array); room > 16 && n < room/4 {
		p.array = append(make([]glua.LValue, 0, 2*n), p.array...)
	}
}

// setKey is t[k] = v, where k is a key of the hash part.
func setKey(L *glua.LState, t *glua.LTable, k, v glua.LValue) {
	p := partsOf(t)
	if p.get(k) != nil {
		t.RawSetH(k, v)
		return
	}
	if v == glua.LNil {
		return
	}
	if _, known := p.k2i[k]; known { // it was deleted
		t.RawSetH(k, v)
		return
	}
	bytes := newKeyBytes
	if p.keys == nil {
		bytes = hashBytes
	}
	if _, isString := k.(glua.LString); isString {
		if p.strdict == nil { // the engine would make room for 32
			p.strdict = map[string]glua.LValue{}
		}
	} else if p.dict == nil { // the engine would make room for as many as there are names
		p.dict = map[glua.LValue]glua.LValue{}
	}
	RunOf(L).Charge(L, bytes)
	if dead := len(p.keys) - p.alive(); dead > fewDead && dead > p.alive() {
		if p.replace(k) {
			t.RawSetH(k, v)
			return
		}
	}
	t.RawSetH(k, v)
}

const (
	fewDead    = 8
	mostTries  = 32
	fewAlive   = 4096 // as many keys can be moved without a look at the clock
	muchLarger = 4
)

// replace gives a new key the place of one that was deleted, and reports
// whether it has. A table that has become much smaller is made anew.
func (p *tableParts) replace(k glua.LValue) bool {
	if alive := p.alive(); alive <= fewAlive && len(p.keys) > muchLarger*alive+4*fewDead {
		p.renew()
		return false
	}
	for range mostTries { // each of which has a chance of one half
		i := rand.IntN(len(p.keys)) //nolint:gosec // G404: any place will do
		if old := p.keys[i]; p.get(old) == nil {
			delete(p.k2i, old)
			p.keys[i], p.k2i[k] = k, i
			return true
		}
	}
	return false
}

// renew makes the hash part anew, as large as what is in it, in the same order.
// One key that was deleted stays, which says that others may have been forgotten.
func (p *tableParts) renew() {
	strdict, dict := make(map[string]glua.LValue, len(p.strdict)), make(map[glua.LValue]glua.LValue, len(p.dict))
	keys, k2i := make([]glua.LValue, 0, p.alive()+1), make(map[glua.LValue]int, p.alive()+1)
	var dead glua.LValue
	for _, k := range p.keys {
		v := p.get(k)
		if v == nil {
			dead = k
			continue
		}
		if s, ok := k.(glua.LString); ok {
			strdict[string(s)] = v
		} else {
			dict[k] = v
		}
		k2i[k] = len(keys)
		keys = append(keys, k)
	}
	if dead != nil {
		k2i[dead] = len(keys)
		keys = append(keys, dead)
	}
	p.strdict, p.dict, p.keys, p.k2i = strdict, dict, keys, k2i
}

// maxLength bounds the length of a table, whose keys are exact up to there, and
// how often it is doubled: numbers as large as scripts may have wrap around to
// negative ones and to 0, which could go on for ever.
const maxLength = 1 << 53

// Length is #t without metamethods: the last position of the array, or, where
// that is full, a border behind it, found by doubling and halving as in Lua 5.1.
func Length(L *glua.LState, t *glua.LTable) int {
	p := partsOf(t)
	n := len(p.array)
	if n > 0 && p.array[n-1] == glua.LNil { // a constructor's
		RunOf(L).Spend(L, n/8)
		p.cut()
		n = len(p.array)
	}
	if n < positions || len(p.dict) == 0 {
		return n
	}
	is := func(i int) bool { return p.dict[glua.LNumber(i)] != nil }
	if !is(n + 1) {
		return n
	}
	low, high := n+1, 2*n
	for is(high) {
		if low, high = high, 2*high; high > maxLength {
			return low
		}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; is(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	RunOf(L).Spend(L, 50)
	return low
}

// Next is the key after k and its value; nil is the end. k nil is the start. A
// key that the table never had is an error, if that is known.
// Keys may be deleted meanwhile; where others add keys, a key that is deleted
// may be the last one.
func Next(L *glua.LState, t *glua.LTable, k glua.LValue) (key, value glua.LValue) {
	p := partsOf(t)
	i := 0
	if k != glua.LNil {
		var ok bool
		if i, ok = position(k); !ok {
			RunOf(L).SpendKey(L, k)
			at, known := p.k2i[k]
			if !known {
				if len(p.keys) == p.alive() { // none has been forgotten
					L.RaiseError("invalid key to 'next'")
				}
				return glua.LNil, glua.LNil
			}
			return p.following(L, at+1)
		}
	}
	for from := i; i < len(p.array); i++ {
		if v := p.array[i]; v != glua.LNil {
			if i-from > 64 {
				RunOf(L).Spend(L, (i-from)/8)
			}
			return glua.LNumber(i + 1), v
		}
	}
	return p.following(L, 0)
}

// following is the first key from index i on that hasn't been deleted.
func (p *tableParts) following(L *glua.LState, i int) (key, value glua.LValue) {
	for from := i; i < len(p.keys); i++ {
		k := p.keys[i]
		if v := p.get(k); v != nil {
			return k, v
		}
		if (i-from)&63 == 63 {
			RunOf(L).Spend(L, 64*3) // which may let others change the table
		}
	}
	return glua.LNil, glua.LNil
}

// Others returns how many keys a table has besides 1 to n.
func Others(t *glua.LTable, n int) int {
	p := partsOf(t)
	return p.alive() - max(0, n-len(p.array))
}
