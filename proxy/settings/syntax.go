package settings

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// position is a place in the file, both from 1; the zero value means none.
type position struct{ line, column int }

// fault is an error whose file isn't known yet.
type fault struct {
	at      position
	message string
}

// parse returns the only document of src, nil when it is empty.
func parse(src []byte) (root ast.Node, problem *fault) {
	text, problem := readable(src)
	if problem != nil {
		return nil, problem
	}
	defer func() {
		if r := recover(); r != nil {
			root, problem = nil, &fault{position{1, 1}, "cannot read this as YAML: " + notYAML("", "")}
		}
	}()
	tokens := lexer.Tokenize(text)
	if tk, limit := measure(tokens); tk != nil {
		return nil, &fault{positionOf(tk), limit}
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(text, err)
	}
	return onlyDocument(file)
}

// readable checks what the scanner takes for granted.
func readable(src []byte) (string, *fault) {
	if len(src) > maxSource {
		return "", &fault{position{1, 1}, fmt.Sprintf("the file has %d bytes: expected at most %s", len(src), Size(maxSource))}
	}
	text := strings.TrimPrefix(string(src), "\ufeff")
	if !utf8.ValidString(text) {
		return "", notUTF8(text)
	}
	if line := longGap(text); line > 0 {
		return "", &fault{position{line, 1}, fmt.Sprintf("too many empty lines: expected at most %d in a row", maxGap)}
	}
	return text, nil
}

// longGap returns the line at which a run of empty lines is too long, or 0.
func longGap(text string) int {
	line, gap := 0, 0
	for content := range strings.Lines(text) {
		line++
		gap++
		if strings.TrimSpace(content) != "" {
			gap = 0
		}
		if gap > maxGap {
			return line
		}
	}
	return 0
}

func notUTF8(text string) *fault {
	valid := 0
	for valid < len(text) {
		r, size := utf8.DecodeRuneInString(text[valid:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	line := 1 + strings.Count(text[:valid], "\n")
	column := 1 + utf8.RuneCountInString(text[strings.LastIndexByte(text[:valid], '\n')+1:valid])
	return &fault{position{line, column}, fmt.Sprintf("byte 0x%02x is not UTF-8: expected a text file in UTF-8", text[valid])}
}

func syntaxFault(text string, err error) *fault {
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return &fault{position{1, 1}, "cannot read this as YAML: " + notYAML(err.Error(), "")}
	}
	at := positionOf(syntax.GetToken())
	line := lineOf(text, at.line)
	message := "cannot read this as YAML: " + notYAML(syntax.GetMessage(), line)
	if strings.Contains(line, "${") {
		message += "; quote a value that has ${…} inside [ ] or { }, or a colon and a space in its default"
	}
	if strings.Contains(line, "[::") || strings.Contains(line, " ::") {
		message += "; quote an address that begins with a colon: [\"::1\"]"
	}
	return &fault{at, message}
}

// onlyDocument refuses what would silently be left out of the configuration.
func onlyDocument(file *ast.File) (ast.Node, *fault) {
	var root ast.Node
	for _, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.CommentGroupNode:
			continue
		case *ast.DirectiveNode:
			if body.Name == nil || body.Name.GetToken().Value != "YAML" {
				return nil, &fault{nodePosition(body), "unknown directive: expected none, or %YAML"}
			}
		default:
			if root != nil {
				return nil, &fault{nodePosition(body), "a second document begins here: expected one document in the file"}
			}
			root = body
		}
	}
	return root, nil
}

// nodePosition returns where a node begins, which for a block mapping is its
// first key.
func nodePosition(n ast.Node) position {
	switch n := n.(type) {
	case nil:
		return position{1, 1}
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return nodePosition(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return nodePosition(n.Key)
	case *ast.LiteralNode:
		return positionOf(n.Start)
	}
	return positionOf(n.GetToken())
}

func positionOf(tk *token.Token) position {
	if tk == nil || tk.Position == nil {
		return position{1, 1}
	}
	return position{max(1, tk.Position.Line), max(1, tk.Position.Column)}
}
