package settings

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// survey counts the nodes of a document and finds what each alias stands for,
// before the decoder skips the parts that it doesn't know.
type survey struct {
	anchors map[string]ast.Node         // latest definition above the current node
	targets map[*ast.AliasNode]ast.Node // absent: no such anchor above
	nodes   int
	faults  []fault
}

func surveyOf(root ast.Node) *survey {
	s := &survey{anchors: map[string]ast.Node{}, targets: map[*ast.AliasNode]ast.Node{}}
	s.visit(root)
	return s
}

// visit recurses as deep as measure let the file be nested.
func (s *survey) visit(n ast.Node) {
	s.nodes++
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, entry := range n.Values {
			s.visit(entry)
		}
	case *ast.MappingValueNode:
		s.visit(n.Key)
		s.visit(n.Value)
	case *ast.MappingKeyNode:
		s.visit(n.Value)
	case *ast.SequenceNode:
		for _, element := range n.Values {
			s.visit(element)
		}
	case *ast.TagNode:
		s.checkTag(n)
		s.visit(n.Value)
	case *ast.AnchorNode:
		// Defined after its content: an alias to what contains it is unknown, so
		// that following aliases always ends.
		s.visit(n.Value)
		s.anchors[nameOf(n.Name)] = n.Value
	case *ast.AliasNode:
		s.checkAlias(n)
	}
}

func (s *survey) checkAlias(n *ast.AliasNode) {
	name := nameOf(n.Value)
	target, ok := s.anchors[name]
	if ok {
		s.targets[n] = target
		return
	}
	s.faults = append(s.faults, fault{nodePosition(n),
		fmt.Sprintf("unknown alias *%s: expected an anchor &%s that ends above it, or quotes around a text that starts with *", clip(name), clip(name))})
}

// checkTag takes the core tags only and otherwise ignores them: the type of the
// field decides.
func (s *survey) checkTag(n *ast.TagNode) {
	switch name := nameOf(n); name {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
	default:
		s.faults = append(s.faults, fault{nodePosition(n), fmt.Sprintf("unknown tag %s: expected a value without a tag", clip(name))})
	}
}

func nameOf(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}
