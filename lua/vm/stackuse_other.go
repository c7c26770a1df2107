//go:build !amd64 && !arm64

package vm

import (
	"runtime"
	"sync"
)

// stackInUse is about how many bytes of the goroutine's stack are in use.
func stackInUse() int {
	const frame = 200                        // bytes; the deepest stacks, of nested pcalls, have 190 a frame
	pcs := stacks.Get().(*[maxDepth]uintptr) //nolint:forcetypeassert // the pool holds nothing else
	defer stacks.Put(pcs)
	return frame * runtime.Callers(0, pcs[:])
}

const maxDepth = 16 << 10 // frames that are looked at

var stacks = sync.Pool{New: func() any { return new([maxDepth]uintptr) }}
