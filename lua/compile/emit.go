package compile

import glua "github.com/yuin/gopher-lua"

// An instruction has its operation in the upper 6 bits, then A (8 bits), C (9)
// and B (9), or in place of the latter two Bx (18), which jumps have with an
// offset.
const (
	shiftOperation = 26
	shiftA         = 18
	shiftC         = 9
	maxArgument    = 1<<9 - 1

	// constantBit in B or C says that it is a constant, one of the first 256.
	constantBit = 1 << 8
)

func encode(op, a, b, c int) uint32 {
	return uint32(op)<<shiftOperation | uint32(a)<<shiftA | uint32(c)<<shiftC | uint32(b) //nolint:gosec // G115: registers and constants within their limits
}

// abc emits an instruction and returns where it is. MOVE has move.
func (f *function) abc(op, a, b, c int) int { return f.emit(encode(op, a, b, c)) }

func (f *function) abx(op, a, bx int) int {
	return f.emit(encode(op, a, 0, 0) | uint32(bx)) //nolint:gosec // G115: at most maxConstants
}

func (f *function) emit(instruction uint32) int {
	f.proto.Code = grown(f.proto.Code, instruction)
	f.lines = grown(f.lines, f.where.Line)
	return len(f.lines) - 1
}

// here is where the next instruction will be.
func (f *function) here() int { return len(f.proto.Code) }

// moves is a row of moves that the machine makes at once.
type moves struct{ first, last, count int }

func (m *moves) reset() { *m = moves{-1, -2, 0} }

// move copies a register. A jump into the middle of a row is good: each of its
// instructions is a whole one.
func (f *function) move(to, from int) {
	if to == from {
		return
	}
	at := f.abc(glua.OP_MOVE, to, from, 0)
	m := &f.moves
	if m.last != at-1 || m.count == maxArgument {
		*m = moves{at, at, 0}
		return
	}
	m.last = at
	m.count++
	first := f.proto.Code[m.first]
	a, b := int(first>>shiftA)&0xff, int(first)&maxArgument
	f.proto.Code[m.first] = encode(glua.OP_MOVEN, a, b, m.count)
}

// jumps are jumps whose end isn't known yet, or is known by now.
type jumps []int

// jump emits a jump.
func (f *function) jump() jumps { return jumps{f.abx(glua.OP_JMP, 0, 0)} }

// jumpTo emits a jump to a place before it.
func (f *function) jumpTo(place int) { f.patch(f.jump(), place) }

// patchHere has jumps go to the next instruction.
func (f *function) patchHere(list jumps) { f.patch(list, f.here()) }

func (f *function) patch(list jumps, place int) {
	for _, at := range list {
		distance := place - at - 1
		if distance > maxJump || distance < -maxJump {
			f.fail("control structure too long: it has more than %d instructions", maxJump)
		}
		f.proto.Code[at] = f.proto.Code[at]&^(1<<shiftA-1) | uint32(distance+maxJump)
	}
}

// small reports whether a constant may be an operand by its index.
func small(constant int) bool { return constant < constantBit }
