package pattern

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	// MaxRoutes is the greatest number of routes of a table.
	MaxRoutes = 10_000
	// MaxMethods is the greatest number of different methods of a table.
	MaxMethods = 64
	// maxMethod is the greatest length of a method in bytes.
	maxMethod = 32
)

// Builder collects routes for a [Table]. The zero value is ready. It isn't safe
// for concurrent use.
type Builder[T any] struct {
	values []T
	draft  draft
}

// Conflict says that a route is there already: with the same method, and a
// pattern that differs in the names of its parameters at most.
type Conflict struct {
	Method  string // empty: any
	Pattern string
	Earlier string // the pattern that is there
}

func (e *Conflict) Error() string {
	method := e.Method
	if method == "" {
		method = "any method"
	}
	if e.Pattern == e.Earlier {
		return fmt.Sprintf("pattern %q is declared for %s already", e.Pattern, method)
	}
	return fmt.Sprintf("pattern %q matches the same paths as %q, which is declared for %s already", e.Pattern, e.Earlier, method)
}

// Add adds a route. method is an upper-case token, or empty for any. The error
// is a *SyntaxError or a *Conflict, or says that the method is wrong or a limit
// reached; the builder is then as it was.
func (b *Builder[T]) Add(method, pattern string, value T) error {
	if err := b.draft.add(method, pattern); err != nil {
		return err
	}
	b.values = append(b.values, value)
	return nil
}

// Build returns the table of what was added so far. The builder can be used
// on.
func (b *Builder[T]) Build() *Table[T] {
	return &Table[T]{tree: b.draft.build(), values: slices.Clone(b.values)}
}

// route is one call of Add.
type route struct {
	method  string // empty: any
	pattern *Pattern
}

// draft is a tree that can grow.
type draft struct {
	routes  []route
	methods map[string]struct{}
	tests   map[string]*test
	root    branch
	edges   int // segments in the tree
}

// branch is a node of the draft: what the path may go on with.
type branch struct {
	next   []twig         // in the order of Add
	index  map[string]int // into next, by shape
	leaves []int          // routes that end here
}

type twig struct {
	segment *segment
	to      *branch
}

func (d *draft) add(method, text string) error {
	if err := checkMethod(method); err != nil {
		return err
	}
	if len(d.routes) == MaxRoutes {
		return fmt.Errorf("cannot add pattern %q: there are %d routes already, expected no more", text, MaxRoutes)
	}
	if d.tests == nil {
		d.tests = make(map[string]*test)
		d.methods = make(map[string]struct{})
	}
	if _, known := d.methods[method]; !known && method != "" && len(d.methods) == MaxMethods {
		return fmt.Errorf("cannot add pattern %q: method %q is one more than %d different ones", text, method, MaxMethods)
	}
	p, err := parse(text, d.tests)
	if err != nil {
		return err
	}
	b := &d.root
	for _, s := range p.segments {
		b = d.grow(b, s)
	}
	for _, i := range b.leaves {
		if d.routes[i].method == method {
			return &Conflict{Method: method, Pattern: text, Earlier: d.routes[i].pattern.text}
		}
	}
	d.keep(method, p)
	b.leaves = append(b.leaves, len(d.routes))
	d.routes = append(d.routes, route{method: method, pattern: p})
	return nil
}

// keep remembers what the next routes share with this one. Nothing is kept of
// patterns that were refused, or a script could fill the memory with them.
func (d *draft) keep(method string, p *Pattern) {
	if method != "" {
		d.methods[method] = struct{}{}
	}
	for _, s := range p.segments {
		for _, h := range s.holes {
			if h.test != nil {
				d.tests[h.test.source] = h.test
			}
		}
	}
}

// grow returns the branch behind s, which it adds if there is none. A conflict
// can't leave an empty one: its path is there already.
func (d *draft) grow(b *branch, s *segment) *branch {
	key := s.shape
	if i, ok := b.index[key]; ok {
		return b.next[i].to
	}
	if b.index == nil {
		b.index = make(map[string]int)
	}
	to := new(branch)
	b.index[key] = len(b.next)
	b.next = append(b.next, twig{segment: s, to: to})
	d.edges++
	return to
}

// checkMethod accepts the methods that exist: letters, digits, "-" and "_"
// after a letter, a part of what RFC 9110 §5.6.2 allows.
func checkMethod(method string) error {
	if len(method) > maxMethod {
		return fmt.Errorf("method %q… is %d bytes long, expected at most %d", method[:maxMethod], len(method), maxMethod)
	}
	for i := range len(method) {
		c := method[i]
		upper := c >= 'A' && c <= 'Z'
		if !upper && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return fmt.Errorf("method %q is not one, expected an upper-case word such as GET", method)
		}
	}
	return nil
}

// build flattens the draft into a tree.
func (d *draft) build() *tree {
	t := &tree{
		routes:  slices.Clone(d.routes),
		methods: make([]string, 0, len(d.methods)),
		nodes:   make([]node, 1, d.edges+1),
		edges:   make([]edge, 0, d.edges),
		leaves:  make([]leaf, 0, len(d.routes)),
	}
	for m := range d.methods {
		t.methods = append(t.methods, m)
	}
	slices.Sort(t.methods)
	t.plant(0, &d.root)
	return t
}

// plant writes b to the node i, and what is behind it to new ones.
func (t *tree) plant(i int, b *branch) {
	next := slices.Clone(b.next)
	slices.SortStableFunc(next, func(a, b twig) int { return order(a.segment, b.segment) })
	n := node{edges: len(t.edges), arms: len(t.edges), end: len(t.edges) + len(next), leaves: len(t.leaves)}
	for _, w := range next {
		if w.segment.literal() {
			n.arms++
		}
		t.edges = append(t.edges, edge{segment: w.segment, node: len(t.nodes)})
		t.nodes = append(t.nodes, node{})
	}
	for _, r := range b.leaves {
		t.leaves = append(t.leaves, leaf{method: t.methodOf(t.routes[r].method), route: r})
	}
	n.leavesEnd = len(t.leaves)
	t.nodes[i] = n
	for j, w := range next {
		t.plant(t.edges[n.edges+j].node, w.to)
	}
}

// methodOf returns the number of a method of the tree, anyMethod for "".
func (t *tree) methodOf(method string) int {
	if method == "" {
		return anyMethod
	}
	i, _ := slices.BinarySearch(t.methods, method)
	return i
}

// order puts literals first, as tree.literal searches them, then the others as
// they are tried.
func order(a, b *segment) int {
	switch {
	case a.literal() && b.literal():
		return cmp.Or(cmp.Compare(len(a.prefix), len(b.prefix)), cmp.Compare(a.prefix, b.prefix))
	case a.literal():
		return -1
	case b.literal():
		return 1
	}
	return rank(a, b)
}
