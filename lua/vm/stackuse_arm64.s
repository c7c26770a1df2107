#include "textflag.h"

// func stackInUse() int
//
// See stackuse_amd64.s.
TEXT ·stackInUse(SB), NOSPLIT|NOFRAME, $0-8
	MOVD R29, R0
	MOVD R29, R1
next:
	MOVD (R0), R2
	CMP  R0, R2
	BLS  done
	MOVD R2, R0
	B    next
done:
	SUB  R1, R0, R0
	MOVD R0, ret+0(FP)
	RET
