package route

import (
	"bytes"
	"slices"
)

// fewPrefixes is how many prefixes are searched one by one; more are looked up
// in a map, once for each segment of the path at which some prefix ends.
const fewPrefixes = 8

// prefixes are the path prefixes of one host, compiled for the longest match.
type prefixes struct {
	root  int // index of the entry without a prefix, or -1
	list  []prefix
	index map[string]int // nil when list is short

	depth   int                          // segments of the deepest prefix
	lengths [(MaxPrefix + 1) / 64]uint64 // bit n: some prefix is n bytes long
}

type prefix struct {
	path  string // comparison form without trailing slash
	entry int
}

func newPrefixes() *prefixes { return &prefixes{root: -1} }

// add binds a prefix, or with an empty one every path, to an entry.
func (p *prefixes) add(path string, entry int) {
	if path == "" {
		p.root = entry
		return
	}
	p.list = append(p.list, prefix{path, entry})
	p.depth = max(p.depth, bytes.Count([]byte(path), []byte{'/'}))
	p.lengths[len(path)/64] |= 1 << (len(path) % 64)
}

// seal ends the building.
func (p *prefixes) seal() {
	slices.SortFunc(p.list, func(a, b prefix) int { return len(b.path) - len(a.path) })
	if len(p.list) <= fewPrefixes {
		return
	}
	p.index = make(map[string]int, len(p.list))
	for _, x := range p.list {
		p.index[x.path] = x.entry
	}
	p.list = nil
}

// find returns the entry with the longest prefix of path, a key, or -1.
func (p *prefixes) find(path []byte) int {
	if p.index != nil {
		return p.findIndexed(path)
	}
	for i := range p.list {
		x := &p.list[i]
		n := len(x.path)
		if len(path) >= n && string(path[:n]) == x.path && (len(path) == n || path[n] == '/') {
			return x.entry
		}
	}
	return p.root
}

// findIndexed tries the segment borders of path from the deepest that any
// prefix has to the first.
func (p *prefixes) findIndexed(path []byte) int {
	for end := border(path, p.depth); end > 0; end = bytes.LastIndexByte(path[:end], '/') {
		if end > MaxPrefix || p.lengths[end/64]>>(end%64)&1 == 0 {
			continue
		}
		if entry, ok := p.index[string(path[:end])]; ok {
			return entry
		}
	}
	return p.root
}

// border returns where the first n segments of path end.
func border(path []byte, n int) int {
	end := 0
	for range n {
		if end >= len(path) {
			break
		}
		next := bytes.IndexByte(path[end+1:], '/')
		if next < 0 {
			return len(path)
		}
		end += 1 + next
	}
	return end
}
