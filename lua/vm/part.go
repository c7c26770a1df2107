package vm

import (
	"strings"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"
)

// MaxShared is how long a string may be, in bytes, for its parts to share its
// memory. A part of a longer one would keep all of that alive, while only the
// part's length is seen by Live. There is no sharing of large parts either:
// of halves of halves each is large, and the last is not.
const MaxShared = 32

// Part returns part, which must be a part of whole, a script's string, as a
// string of its own where whole is long. It charges what that takes.
func Part(L *glua.LState, whole, part string) glua.LString {
	run := RunOf(L)
	if len(whole) <= MaxShared || len(part) == len(whole) {
		run.Charge(L, 16)
		return glua.LString(part)
	}
	run.Charge(L, len(part)+16)
	if len(part) > MaxShared {
		run.Spend(L, len(part)/64)
	}
	return glua.LString(Clone(part))
}

// Built returns what a builder has built. Where more of the builder's room is
// left than the allocator would leave, which Live wouldn't see, it is a copy,
// which is charged.
func Built(L *glua.LState, b *strings.Builder) glua.LString {
	run := RunOf(L)
	run.CheckString(L, b.Len())
	if b.Cap() <= b.Len()+b.Len()/4+MaxShared/2 {
		run.Charge(L, 16)
		return glua.LString(b.String())
	}
	run.Charge(L, b.Len()+16)
	return glua.LString(Clone(b.String()))
}

// maxClip is how many bytes of a script's string a message quotes.
const maxClip = 100

// Clip returns a copy of s for a message: its first 100 bytes, without half a
// character, and an ellipsis, if it is longer. What a script has passed is
// clipped before it is formatted: quoting 20 MB takes a second.
func Clip(s string) string {
	if len(s) <= maxClip {
		return strings.Clone(s)
	}
	n := maxClip
	for n > maxClip-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// longMessage is from how many bytes on a caught message is counted.
const longMessage = 256

// Caught counts an error's message that is about to be given to a script: the
// engine makes messages of whole keys without asking. Whatever catches errors
// for a script calls it, after Rethrow.
func (r *Run) Caught(L *glua.LState, failure glua.LValue) {
	if s, ok := failure.(glua.LString); ok && len(s) > longMessage {
		r.Charge(L, len(s))
		r.Spend(L, len(s)/16)
	}
}

// SpendKey counts a long string's use as the key of a table: it is hashed and
// compared.
func (r *Run) SpendKey(L *glua.LState, k glua.LValue) {
	if s, ok := k.(glua.LString); ok && len(s) > 256 {
		r.Spend(L, len(s)/64)
	}
}

// Sized is the value of a userdata that keeps memory which can't be seen from
// Lua.
type Sized interface {
	// Size is in bytes.
	Size() int
}
