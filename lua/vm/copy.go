package vm

import "strings"

// copyChunk is how much of a string is copied at a time. A goroutine that
// copies memory can't be stopped, and a loop that does little else hardly ever
// can: the collector waits for it, on a processor of its own, and everybody
// with it. So there is a call, at which it can, between chunks.
const copyChunk = 16 << 10

// Append appends s, which may be long, to what is being built.
func Append(b *strings.Builder, s string) {
	for len(s) > copyChunk {
		appendChunk(b, s[:copyChunk])
		s = s[copyChunk:]
	}
	b.WriteString(s)
}

//go:noinline
func appendChunk(b *strings.Builder, s string) { b.WriteString(s) }

// AppendBytes is append for strings and slices that may be long.
func AppendBytes(dst []byte, s string) []byte {
	n := len(dst) + len(s)
	if n <= copyChunk {
		return append(dst, s...)
	}
	if n > cap(dst) {
		room := n
		if len(dst) > 0 { // more may come
			room += n / 4
		}
		dst = appendParts(make([]byte, 0, room), dst)
	}
	return appendParts(dst, s)
}

func appendParts[T string | []byte](dst []byte, s T) []byte {
	for len(s) > copyChunk {
		dst = appendPart(dst, s[:copyChunk])
		s = s[copyChunk:]
	}
	return append(dst, s...)
}

//go:noinline
func appendPart[T string | []byte](dst []byte, s T) []byte { return append(dst, s...) }

// Clone copies a string that may be long.
func Clone(s string) string {
	if len(s) <= copyChunk {
		return strings.Clone(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	Append(&b, s)
	return b.String()
}
