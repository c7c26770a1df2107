#include "textflag.h"

// func stackInUse() int
//
// Each frame begins with the address of the one before it; the first of a
// goroutine has none. Code in assembly isn't interrupted, so that the stack
// can't be moved meanwhile.
TEXT ·stackInUse(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ BP, AX
	MOVQ BP, CX
next:
	MOVQ (AX), DX
	CMPQ DX, AX
	JLS  done
	MOVQ DX, AX
	JMP  next
done:
	SUBQ CX, AX
	MOVQ AX, ret+0(FP)
	RET
