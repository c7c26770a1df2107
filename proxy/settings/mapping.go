package settings

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// entry is one key of a mapping with its value, its own or merged.
type entry struct {
	key   string
	keyAt position
	value ast.Node
	at    position // where an error in the value is reported
}

// entries lists the keys of a mapping in order, then those that << merges into
// it. A key of the mapping beats a merged one, an earlier merge a later one.
func (d *decoder) entries(n ast.Node, p *place) []entry {
	own, merges := d.ownEntries(n, p)
	if len(merges) == 0 {
		return own
	}
	known := make(map[string]bool, len(own))
	for _, e := range own {
		known[e.key] = true
	}
	for _, m := range merges {
		for _, e := range d.merged(m, p.nested()) {
			if !known[e.key] {
				known[e.key] = true
				own = append(own, e)
			}
		}
	}
	return own
}

// ownEntries returns the keys written in n itself, and the values of its <<.
func (d *decoder) ownEntries(n ast.Node, p *place) (own []entry, merges []ast.Node) {
	seen := map[string]position{}
	for _, pair := range pairs(n) {
		if pair.Key != nil && pair.Key.IsMergeKey() {
			merges = append(merges, pair.Value)
			continue
		}
		at := nodePosition(pair.Key)
		name, ok := d.keyText(pair.Key)
		if !ok {
			d.doc.add(p.within(), at, "expected a plain word as a key")
			continue
		}
		if first, twice := seen[name]; twice {
			d.doc.add(p.within(), at, fmt.Sprintf("duplicate key %q%s: expected it once, it is already on line %d", clip(name), p.words(), first.line))
			continue
		}
		seen[name] = at
		own = append(own, entry{name, at, pair.Value, valuePosition(pair)})
	}
	return own, merges
}

// merged returns the entries of what stands behind a <<: a mapping, or a list of
// mappings.
func (d *decoder) merged(n ast.Node, p *place) []entry {
	if !d.spend(p) {
		return nil
	}
	resolved, ok := d.resolve(n)
	if !ok {
		return nil
	}
	if isMapping(resolved) {
		list := d.entries(resolved, p)
		d.budget = max(1, d.budget-len(list)) // the next spend reports it
		return list
	}
	sequence, ok := resolved.(*ast.SequenceNode)
	if !ok {
		d.doc.add(p.within(), nodePosition(n), "cannot merge this with <<: expected an alias of a mapping, or a list of them")
		return nil
	}
	var list []entry
	for _, element := range sequence.Values {
		list = append(list, d.merged(element, p.nested())...)
	}
	return list
}

// resolve looks through anchors, tags and aliases. It ends, because an alias
// only ever points upward.
func (d *decoder) resolve(n ast.Node) (ast.Node, bool) {
	for {
		switch node := n.(type) {
		case *ast.AnchorNode:
			n = node.Value
		case *ast.TagNode:
			n = node.Value
		case *ast.AliasNode:
			target, ok := d.targets[node]
			if !ok {
				return nil, false
			}
			n = target
		default:
			return n, true
		}
	}
}

func (d *decoder) keyText(n ast.Node) (string, bool) {
	if complexKey, ok := n.(*ast.MappingKeyNode); ok {
		n = complexKey.Value
	}
	resolved, ok := d.resolve(n)
	if !ok {
		return "", false
	}
	if isNull(resolved) {
		return "null", resolved != nil
	}
	return scalarText(resolved)
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// valuePosition points at the value where it begins on its key's line or is a
// scalar, else at the key: "cert_file is missing" belongs to "tls:".
func valuePosition(pair *ast.MappingValueNode) position {
	switch v := pair.Value.(type) {
	case nil, *ast.NullNode, *ast.MappingValueNode:
		return nodePosition(pair.Key)
	case *ast.MappingNode:
		if !v.IsFlowStyle {
			return nodePosition(pair.Key)
		}
	case *ast.SequenceNode:
		if !v.IsFlowStyle {
			return nodePosition(pair.Key)
		}
	}
	return nodePosition(pair.Value)
}

// place is the way from the root to a value. Its text is only built for errors.
type place struct {
	parent *place
	key    string
	index  int // of an element of a list; -1 where there is a key
	at     position
	field  *field // nil at the root; an element has that of its list
	depth  int

	section reflect.Value // the struct that the place is
	secrets *Secrets      // of the struct that the place is; nil where it has none
	secret  bool          // the value has come from a file
}

// hidden reports whether the value may be told.
func (p *place) hidden() bool { return p.secret || p.field.hidden() }

func (p *place) child(e entry, f *field) *place {
	return &place{parent: p, key: e.key, index: -1, at: e.at, field: f, depth: p.depth + 1}
}

func (p *place) element(i int, n ast.Node) *place {
	return &place{parent: p, index: i, at: nodePosition(n), field: p.field, depth: p.depth + 1}
}

func (p *place) isElement() bool { return p.parent != nil && p.index >= 0 }

// nested is the same place one level of merges deeper.
func (p *place) nested() *place {
	deeper := *p
	deeper.depth++
	return &deeper
}

// within returns the element of a list at the top of the document that the
// place is in.
func (p *place) within() element {
	for q := p; q.parent != nil; q = q.parent {
		if list := q.parent; q.isElement() && list.parent != nil && list.parent.parent == nil {
			return element{list.key, q.index}
		}
	}
	return element{}
}

func (p *place) words() string {
	if path := p.String(); path != "" {
		return " in " + path
	}
	return ""
}

// String returns the path as in "tenants[0].services", "" for the root.
func (p *place) String() string {
	if p.parent == nil {
		return ""
	}
	path := p.parent.String()
	if p.isElement() {
		return path + "[" + strconv.Itoa(p.index) + "]"
	}
	return strings.TrimPrefix(path+"."+clip(p.key), ".")
}
