package pattern

// tree is the part of a table that doesn't depend on the type of its values:
// segments as edges, in three flat slices. Node 0 is the root. It is immutable.
type tree struct {
	routes  []route // in the order of Add
	methods []string
	nodes   []node
	edges   []edge
	leaves  []leaf
}

// node is a place between segments.
type node struct {
	edges  int // edges[edges:arms] are literal segments, sorted by length, then text
	arms   int // edges[arms:end] have holes, in the order in which they are tried
	end    int
	leaves int // leaves[leaves:leavesEnd] are the routes that end here

	leavesEnd int
}

// edge leads to the node behind a segment.
type edge struct {
	segment *segment
	node    int
}

// leaf is a route that ends at a node.
type leaf struct {
	method int // index into methods, or anyMethod
	route  int
}

// Numbers that stand for no single method of a tree.
const (
	anyMethod   = -1 - iota // of a leaf: all of them
	otherMethod             // of a request: one that only anyMethod allows
	noMethod                // of a search: none, not even anyMethod
)

// few is the number of edges below which looking at all of them is as fast as a
// binary search.
const few = 8

// search is one match in a tree.
//
// A node's depth is the number of segments before it, and so is the place in
// the path at which it is entered: no node is entered twice in a search.
type search struct {
	tree    *tree
	params  *Params
	method  int
	methods uint64 // bits of the other methods that matching patterns have
	any     bool   // with noMethod: a matching pattern has any method
}

// numberOf returns the number of a request's method.
func (t *tree) numberOf(method []byte) int {
	for i, m := range t.methods {
		if string(method) == m {
			return i
		}
	}
	return otherMethod
}

// allowed returns a bit for each method of the patterns that match path, and
// none if one of them has any.
func (t *tree) allowed(path []byte) uint64 {
	var params Params
	s := search{tree: t, params: &params, method: noMethod}
	params.begin(path)
	s.run()
	if s.any {
		return 0
	}
	return s.methods
}

// run returns the route that matches, or -1.
func (s *search) run() int {
	if path := s.params.path; len(path) == 0 || path[0] != '/' {
		return -1
	}
	return s.descend(0, 1)
}

// descend matches the path from the segment that begins at from with what is
// behind the node at.
func (s *search) descend(at, from int) int {
	path := s.params.path
	for {
		n := &s.tree.nodes[at]
		if n.edges == n.end || !s.params.spend(1+(len(path)-from)>>8) {
			return -1
		}
		end := segmentEnd(path, from)
		next := s.tree.literal(n, path[from:end])
		if next >= 0 && n.arms == n.end && end < len(path) {
			at, from = next, end+1 // nothing to come back for
			continue
		}
		if next >= 0 {
			if r := s.enter(next, end); r >= 0 {
				return r
			}
		}
		return s.arms(n, from, end)
	}
}

// arms tries the segments with holes at n on path[from:end].
func (s *search) arms(n *node, from, end int) int {
	captured := s.params.count
	for i := n.arms; i < n.end; i++ {
		e := &s.tree.edges[i]
		if stop, ok := e.segment.match(s.params, from, end); ok {
			if r := s.enter(e.node, stop); r >= 0 {
				return r
			}
		}
		s.params.count = captured
		if s.params.exhausted() {
			return -1
		}
	}
	return -1
}

// enter goes on at a node behind a segment that ended at end.
func (s *search) enter(at, end int) int {
	if end < len(s.params.path) {
		return s.descend(at, end+1)
	}
	n := &s.tree.nodes[at]
	fallback := -1
	for _, l := range s.tree.leaves[n.leaves:n.leavesEnd] {
		switch {
		case l.method == s.method:
			return l.route
		case l.method != anyMethod:
			s.methods |= 1 << l.method
		case s.method == noMethod:
			s.any = true
		default:
			fallback = l.route
		}
	}
	return fallback
}

// literal returns the node behind the literal segment text, or -1.
func (t *tree) literal(n *node, text []byte) int {
	low, high := n.edges, n.arms
	for high-low > few {
		middle := int(uint(low+high) >> 1)
		if before(t.edges[middle].segment.prefix, text) {
			low = middle + 1
		} else {
			high = middle + 1 // the middle one may be it
		}
	}
	for i := low; i < high; i++ {
		if e := &t.edges[i]; e.segment.prefix == string(text) {
			return e.node
		}
	}
	return -1
}

// before says that literal sorts before text.
func before(literal string, text []byte) bool {
	if len(literal) != len(text) {
		return len(literal) < len(text)
	}
	return literal < string(text)
}
