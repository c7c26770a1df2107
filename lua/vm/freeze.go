package vm

import glua "github.com/yuin/gopher-lua"

// frozenKey marks the metatables of frozen tables. Scripts can't reach them:
// their __metatable is false.
const frozenKey = "\x00frozen"

// extendableKey marks those of tables that scripts can add to.
const extendableKey = "\x00extendable"

// Freeze returns a table that reads as content does and can't be written.
// content itself must not be handed to scripts.
func Freeze(L *glua.LState, name string, content *glua.LTable) *glua.LTable {
	frozen := L.CreateTable(0, 1)
	freeze(L, name, frozen, content)
	return frozen
}

// Extendable is Freeze, but that scripts may add to the table, and change what they
// have added: what is in content now stays. Once the VM is sealed, they may not
// either.
func Extendable(L *glua.LState, name string, content *glua.LTable) *glua.LTable {
	given := map[glua.LString]bool{}
	content.ForEach(func(k, _ glua.LValue) { given[glua.LString(k.String())] = true })
	extendable := L.CreateTable(0, 1)
	freeze(L, name, extendable, content)
	meta := extendable.Metatable.(*glua.LTable) //nolint:forcetypeassert // freeze makes it
	meta.RawSetString("__newindex", L.NewFunction(func(L *glua.LState) int {
		if key, ok := L.Get(2).(glua.LString); ok && given[key] || RunOf(L).lock.sealed {
			return refuse(L, name)
		}
		SetRaw(L, content, L.Get(2), L.Get(3))
		return 0
	}))
	meta.RawSetString(extendableKey, glua.LTrue)
	return extendable
}

// IsExtendable reports whether a table is one of Extendable's: an assignment to it
// is one to what is behind it, or an error.
func IsExtendable(t *glua.LTable) bool {
	meta, ok := t.Metatable.(*glua.LTable)
	return ok && meta.RawGetString(extendableKey) == glua.LTrue
}

// refuse raises that a table, of which the second argument is a key, can't be
// written.
func refuse(L *glua.LState, name string) int {
	L.RaiseError("%s is read-only: cannot set %q", name, Clip(L.ToString(2)))
	return 0
}

// FreezeInPlace moves what is in t behind it and freezes t.
func FreezeInPlace(L *glua.LState, name string, t *glua.LTable) {
	content := L.CreateTable(0, 1)
	t.ForEach(func(k, v glua.LValue) { content.RawSet(k, v) })
	content.ForEach(func(k, _ glua.LValue) { t.RawSet(k, glua.LNil) })
	freeze(L, name, t, content)
}

func freeze(L *glua.LState, name string, frozen, content *glua.LTable) {
	meta := L.CreateTable(0, 1)
	meta.RawSetString("__index", content)
	meta.RawSetString("__newindex", L.NewFunction(func(L *glua.LState) int { return refuse(L, name) }))
	meta.RawSetString("__metatable", glua.LFalse)
	meta.RawSetString(frozenKey, content)
	frozen.Metatable = meta
}

// Frozen returns what a frozen table reads as, or nil if t isn't frozen.
// Functions that write to tables past their metatables must refuse frozen
// ones; functions that list a table list this content.
func Frozen(t *glua.LTable) *glua.LTable {
	meta, ok := t.Metatable.(*glua.LTable)
	if !ok {
		return nil
	}
	content, _ := meta.RawGetString(frozenKey).(*glua.LTable)
	return content
}
