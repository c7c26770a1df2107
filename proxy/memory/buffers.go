package memory

import (
	"errors"
	"sync"
)

// Buffer sizes. A request's head and small body fit into a small buffer, a
// usual response into a medium one, so that it is read at once; whatever does
// not is moved to a large one, since copying 1 MB through 4 KiB costs five
// times as much CPU as through 64 KiB.
const (
	SmallBuffer  = 4 << 10
	MediumBuffer = 16 << 10
	LargeBuffer  = 64 << 10
)

var (
	smallBuffers  = sync.Pool{New: func() any { return new([SmallBuffer]byte) }}
	mediumBuffers = sync.Pool{New: func() any { return new([MediumBuffer]byte) }}
	largeBuffers  = sync.Pool{New: func() any { return new([LargeBuffer]byte) }}
)

// AcquireBuffer returns a buffer of one of the three sizes.
func AcquireBuffer(size int) []byte {
	switch size {
	case SmallBuffer:
		return smallBuffers.Get().(*[SmallBuffer]byte)[:] //nolint:forcetypeassert // the pool holds nothing else
	case MediumBuffer:
		return mediumBuffers.Get().(*[MediumBuffer]byte)[:] //nolint:forcetypeassert // as above
	}
	return largeBuffers.Get().(*[LargeBuffer]byte)[:] //nolint:forcetypeassert // as above
}

// ReleaseBuffer takes back what AcquireBuffer gave; others are left to the
// garbage collector.
func ReleaseBuffer(b []byte) {
	switch cap(b) {
	case SmallBuffer:
		smallBuffers.Put((*[SmallBuffer]byte)(b[:SmallBuffer]))
	case MediumBuffer:
		mediumBuffers.Put((*[MediumBuffer]byte)(b[:MediumBuffer]))
	case LargeBuffer:
		largeBuffers.Put((*[LargeBuffer]byte)(b[:LargeBuffer]))
	}
}

// AcquireSmall is AcquireBuffer for a small one.
func AcquireSmall() []byte { return AcquireBuffer(SmallBuffer) }

// AcquireMedium is AcquireBuffer for a medium one.
func AcquireMedium() []byte { return AcquireBuffer(MediumBuffer) }

// ErrNoMemory reports that a reader may not have the buffer that a head or a
// chunk's line needs.
var ErrNoMemory = errors.New("no memory is left for what is received")
