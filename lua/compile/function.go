package compile

import (
	"fmt"
	"math"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// Limits of one function, from the layout of instructions: operands are
// registers of 8 bits, constants of 18, and distances of jumps of 18 with a
// sign.
const (
	maxRegisters = 250
	maxUpvalues  = 255
	maxConstants = 1<<18 - 1
	maxFunctions = 1<<18 - 1
	maxJump      = 1<<17 - 1
)

// function is a function being compiled.
type function struct {
	compiler *compiler
	outer    *function
	source   *syntax.Function
	proto    *glua.FunctionProto

	where syntax.Pos // of the instructions that are emitted
	lines []int32    // of each
	moves moves

	free   int                // the first register that isn't in use
	most   int                // how many ever were
	active []*syntax.Variable // the visible variables, in order of declaration
	named  []int              // the names in DbgLocals of the first registers
	loop   *loop              // the innermost

	upvalues     []upvalue
	upvalueIndex map[*syntax.Variable]int

	stringConstants []string // as the machine wants them, beside proto.Constants
	numberIndex     map[uint64]int
	stringIndex     map[string]int
	operationIndex  [Operations]int // plus one; 0 is none yet
}

// upvalue is a variable of a function around this one: in a register of the
// next one, or an upvalue of that.
type upvalue struct {
	local bool
	index int
}

// function compiles a function. It returns which variables a closure of it
// shares, too.
func (c *compiler) function(outer *function, source *syntax.Function) (*glua.FunctionProto, []upvalue) {
	f := &function{
		compiler: c, outer: outer, source: source, where: source.Pos,
		proto: &glua.FunctionProto{
			SourceName: c.name, LineDefined: int(source.Line), LastLineDefined: int(source.EndLine),
			NumParameters: uint8(len(source.Params)), //nolint:gosec // G115: the parser allows 200
		},
	}
	f.moves.reset()
	if outer == nil {
		f.proto.LineDefined, f.proto.LastLineDefined = 0, 0
	}
	if source.Vararg {
		f.proto.IsVarArg = glua.VarArgIsVarArg
	}
	for _, v := range source.Params {
		f.declare(v, f.reserve(1))
	}
	f.extra()
	f.statements(source.Body)
	f.where.Line = source.EndLine
	f.abc(glua.OP_RETURN, 0, 1, 0)
	f.finish()
	return f.proto, f.upvalues
}

// extra makes the local "arg" of a vararg function that names it.
func (f *function) extra() {
	arg := f.source.Arg
	if arg == nil {
		return
	}
	arg.Register = f.reserve(1)
	f.debugName("arg")
	if f.source.UsesDots {
		f.abc(glua.OP_LOADNIL, arg.Register, arg.Register, 0)
		return
	}
	f.operation(arg.Register, Extra)
	f.need(1)
	f.abc(glua.OP_VARARG, arg.Register+1, 0, 0)
	f.abc(glua.OP_CALL, arg.Register, 0, 2)
}

// finish completes the prototype. Its lists have no room to grow: there are
// many prototypes.
func (f *function) finish() {
	p := f.proto
	p.NumUpvalues = uint8(len(f.upvalues)) //nolint:gosec // G115: at most maxUpvalues
	// One more than are used: a tail call sets the top one too low.
	p.NumUsedRegisters = uint8(max(f.most, 1) + 1) //nolint:gosec // G115: at most maxRegisters
	p.Code, p.DbgSourcePositions = exact(p.Code), make([]int, len(f.lines))
	for i, line := range f.lines {
		p.DbgSourcePositions[i] = int(line)
	}
	p.Constants, p.FunctionPrototypes = exact(p.Constants), exact(p.FunctionPrototypes)
	p.DbgLocals, p.DbgUpvalues = exact(p.DbgLocals), exact(p.DbgUpvalues)
	setStringConstants(p, exact(f.stringConstants))
}

// exact copies a list without room to grow.
func exact[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return append(make([]T, 0, len(list)), list...)
}

// at has the instructions that follow belong to a node's line.
func (f *function) at(node interface{ Position() syntax.Pos }) { f.pos(node.Position()) }

func (f *function) pos(at syntax.Pos) { f.where = at }

func (f *function) fail(format string, args ...any) {
	panic(&syntax.Error{Pos: f.where, Message: fmt.Sprintf(format, args...)})
}

// tooMany fails because of a limit of the function.
func (f *function) tooMany(limit int, what string) {
	if f.outer == nil {
		f.fail("main function has more than %d %s", limit, what)
	}
	f.fail("function at line %d has more than %d %s", f.source.Line, limit, what)
}

// reserve takes the next registers and returns the first.
func (f *function) reserve(n int) int {
	first := f.free
	f.need(n)
	f.free += n
	return first
}

// need makes sure that there are so many registers above those in use.
func (f *function) need(n int) {
	if f.most = max(f.most, f.free+n); f.most > maxRegisters {
		f.fail("function or expression too complex: it needs more than %d registers", maxRegisters)
	}
}

// declare makes a variable visible, whose register has its value.
func (f *function) declare(v *syntax.Variable, register int) {
	if register != len(f.named) {
		panic("BUG: a variable isn't in the next register")
	}
	v.Register = register
	f.active = append(f.active, v)
	f.debugName(v.Name)
}

// debugName gives the next register that has none a name, for messages: that of
// a variable, or of what a loop keeps beside its variables.
func (f *function) debugName(name string) {
	f.proto.DbgLocals = grown(f.proto.DbgLocals, &glua.DbgLocalInfo{Name: f.compiler.own(name), StartPc: f.here(), EndPc: unended})
	f.named = append(f.named, len(f.proto.DbgLocals)-1)
}

// unended is where a variable ends whose scope hasn't ended yet.
const unended = 1 << 30

// leave ends the scope of all variables but the first so many, and frees all
// registers but the first so many.
func (f *function) leave(active, free int) {
	for _, i := range f.named[free:] {
		f.proto.DbgLocals[i].EndPc = f.here()
	}
	f.active, f.named, f.free = f.active[:active], f.named[:free], free
}

// closeFrom ends the sharing of variables with inner functions, from the one
// of that number on: their registers will be others'.
func (f *function) closeFrom(first int) {
	for _, v := range f.active[first:] {
		if v.Captured {
			f.abc(glua.OP_CLOSE, v.Register, 0, 0)
			return
		}
	}
}

// upvalue returns the index of a variable of a function around this one.
func (f *function) upvalue(v *syntax.Variable) int {
	if i, ok := f.upvalueIndex[v]; ok {
		return i
	}
	up := upvalue{local: v.Of(f.outer.source), index: v.Register}
	if !up.local {
		up.index = f.outer.upvalue(v)
	}
	if len(f.upvalues) >= maxUpvalues {
		f.tooMany(maxUpvalues, "upvalues")
	}
	if f.upvalueIndex == nil {
		f.upvalueIndex = map[*syntax.Variable]int{}
	}
	i := len(f.upvalues)
	f.upvalues = append(f.upvalues, up)
	f.upvalueIndex[v] = i
	f.proto.DbgUpvalues = append(f.proto.DbgUpvalues, f.compiler.own(v.Name))
	return i
}

// string returns the index of a string constant.
func (f *function) string(s string) int {
	if i, ok := f.stringIndex[s]; ok {
		return i
	}
	if f.stringIndex == nil {
		f.stringIndex = map[string]int{}
	}
	s = f.compiler.own(s)
	i := f.constant(glua.LString(s), s)
	f.stringIndex[s] = i
	return i
}

// number returns the index of a number constant. 0 and -0 are two.
func (f *function) number(n float64) int {
	bits := math.Float64bits(n)
	if i, ok := f.numberIndex[bits]; ok {
		return i
	}
	if f.numberIndex == nil {
		f.numberIndex = map[uint64]int{}
	}
	i := f.constant(glua.LNumber(n), "")
	f.numberIndex[bits] = i
	return i
}

func (f *function) constant(v glua.LValue, s string) int {
	if len(f.proto.Constants) >= maxConstants {
		f.tooMany(maxConstants, "constants")
	}
	f.proto.Constants = grown(f.proto.Constants, v)
	f.stringConstants = grown(f.stringConstants, s)
	return len(f.proto.Constants) - 1
}

// operation loads the function of an operation into a register.
func (f *function) operation(register int, o Operation) {
	if f.operationIndex[o] == 0 {
		f.operationIndex[o] = 1 + f.constant(f.compiler.options.Operations[o], "")
	}
	f.abx(glua.OP_LOADK, register, f.operationIndex[o]-1)
}

// grown is append for lists that may become long: it doubles them.
func grown[T any](list []T, item T) []T {
	if len(list) == cap(list) && len(list) >= 64 {
		list = append(make([]T, 0, 2*len(list)), list...)
	}
	return append(list, item)
}
