package pattern

import "slices"

// Shadow is a route that no request reaches, because another one is tried
// before it and matches all that it does.
type Shadow struct {
	Method  string // empty: any
	Pattern string
	By      string // the other one's pattern
}

// maxComparisons bounds the work of Unreachable: a table in which a thousand
// routes may shadow ten thousand is past help.
const maxComparisons = 1 << 20

// Unreachable returns routes that can never match, in the order of Add, for
// warnings. It names certain cases only: a parameter with a regexp that any
// value matches stands where the other pattern has a parameter, and the
// remaining segments don't tell them apart; /a/{y:.*} shadows /a/{x}.
func (t *Table[T]) Unreachable() []Shadow { return t.tree.unreachable() }

func (t *tree) unreachable() []Shadow {
	var suspects []int
	for i, r := range t.routes {
		for _, s := range r.pattern.segments {
			if s.takesAll() && s.holes[0].test != nil {
				suspects = append(suspects, i)
				break
			}
		}
	}
	if suspects == nil {
		return nil
	}
	ways := make([][]int, len(t.routes))
	t.trace(0, nil, ways)
	var found []Shadow
	comparisons := 0
	for i, r := range t.routes {
		for _, j := range suspects {
			if comparisons++; comparisons > maxComparisons {
				return found
			}
			by := t.routes[j]
			if i != j && (by.method == "" || by.method == r.method) && t.shadows(ways[j], ways[i]) {
				found = append(found, Shadow{Method: r.method, Pattern: r.pattern.text, By: by.pattern.text})
				break
			}
		}
	}
	return found
}

// trace writes to ways, for each route behind the node at, the edges that lead
// to it; way leads to the node.
func (t *tree) trace(at int, way []int, ways [][]int) {
	n := &t.nodes[at]
	for _, l := range t.leaves[n.leaves:n.leavesEnd] {
		ways[l.route] = slices.Clone(way)
	}
	for i := n.edges; i < n.end; i++ {
		t.trace(t.edges[i].node, append(way, i), ways)
	}
}

// shadows says that the way a is tried before b, and matches every path that b
// does. The edges of a node are tried in their order.
func (t *tree) shadows(a, b []int) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) || a[i] > b[i] {
		return false
	}
	for ; i < len(a) && i < len(b); i++ {
		switch s := t.edges[a[i]].segment; {
		case s.rest && s.prefix == "" && len(s.holes) == 0:
			return true
		case !s.covers(t.edges[b[i]].segment):
			return false
		}
	}
	return len(a) == len(b)
}

// takesAll says that the segment is a single parameter that takes any value.
func (s *segment) takesAll() bool {
	if len(s.holes) != 1 || s.rest || s.prefix != "" {
		return false
	}
	h := s.holes[0]
	return h.after == "" && (h.test == nil || h.test.everything())
}

// covers says that every segment which other matches is matched by s.
func (s *segment) covers(other *segment) bool {
	if s.shape == other.shape {
		return true
	}
	return s.takesAll() && !other.rest && (len(other.holes) > 0 || other.prefix != "")
}
