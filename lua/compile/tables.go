package compile

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// table evaluates a constructor. NewTable makes the table, with room for what
// the constructor names, and counts it.
func (f *function) table(e *syntax.Table, to int) int {
	f.at(e)
	table := f.reserve(1)
	positions, names := sizes(e)
	if positions+names == 0 {
		f.call(table, NewTable, 0, 1)
	} else {
		f.abx(glua.OP_LOADK, f.reserve(1), f.number(float64(positions)))
		f.abx(glua.OP_LOADK, f.reserve(1), f.number(float64(names)))
		f.call(table, NewTable, 2, 1)
	}
	l := list{table: table}
	for i := range e.Fields {
		field := &e.Fields[i]
		switch {
		case field.Key != nil:
			f.field(table, field)
		case i == len(e.Fields)-1 && multiple(field.Value):
			f.expand(field.Value, open)
			f.at(e)
			f.flush(&l, open)
			return f.moveTo(table, to)
		default:
			f.next(field.Value)
			if l.pending++; l.pending == glua.FieldsPerFlush {
				f.at(e)
				f.flush(&l, l.pending)
			}
		}
	}
	if l.pending > 0 {
		f.at(e)
		f.flush(&l, l.pending)
	}
	return f.moveTo(table, to)
}

// sizes returns how many positions and how many names a constructor has.
func sizes(e *syntax.Table) (positions, names int) {
	for i := range e.Fields {
		field := &e.Fields[i]
		switch {
		case field.Key == nil:
			if i < len(e.Fields)-1 || !multiple(field.Value) {
				positions++
			}
		case !counted(field.Key):
			names++
		}
	}
	return positions, names
}

// list is a constructor's list: what has been set already, and what is in
// registers.
type list struct {
	table, batches, pending int
}

// flush sets what is in registers.
func (f *function) flush(l *list, n int) {
	l.batches++
	l.pending = 0
	if l.batches <= maxArgument {
		f.abc(glua.OP_SETLIST, l.table, max(n, 0), l.batches)
	} else {
		f.abc(glua.OP_SETLIST, l.table, max(n, 0), 0)
		f.emit(uint32(l.batches)) //nolint:gosec // G115: a source has no more
	}
	if f.free = l.table + 1; n == open {
		base := f.reserve(2)
		f.move(base+1, l.table)
		f.call(base, Filled, 1, 0)
	}
}

// field sets a field with a key.
func (f *function) field(table int, field *syntax.Field) {
	base := f.free
	if counted(field.Key) {
		f.reserve(1)
		f.reserve(1)
		f.next(field.Key)
		f.next(field.Value)
		f.at(field)
		f.move(base+1, table)
		f.call(base, SetIndex, 3, 0)
		return
	}
	named, key := f.key(field.Key)
	value := f.operand(field.Value)
	f.at(field)
	f.set(table, named, key, value)
	f.free = base
}

// set assigns to a field that needs no counting.
func (f *function) set(table int, named bool, key, value int) {
	op := glua.OP_SETTABLE
	if named {
		op = glua.OP_SETTABLEKS
	}
	f.abc(op, table, key, value)
}

// maxPosition is the largest constant number, and maxFree how many names of a
// source, by which a table can't grow by more than is counted when it is made.
const (
	maxPosition = 16
	maxFree     = 12
)

// assignedByCall reports whether an assignment to a key must be counted. The
// names that a source assigns first needn't be.
func (c *compiler) assignedByCall(key syntax.Expression) bool {
	name, ok := key.(*syntax.String)
	if !ok {
		return counted(key)
	}
	if !c.names[name.Value] {
		if c.options.CountNames || len(c.names) == maxFree {
			return true
		}
		c.names[c.own(name.Value)] = true
	}
	return false
}

// counted reports whether a constructor's field must be counted by itself: its
// key may be anything. NewTable knows how many names there are.
func counted(key syntax.Expression) bool {
	switch key := key.(type) {
	case *syntax.String:
		return false
	case *syntax.Number:
		return !(key.Value >= 1 && key.Value <= maxPosition)
	}
	return true
}
