package settings

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

// Sources are Go source texts whose struct field comments document the keys.
// Each package with a section embeds the file that declares it and hands it
// over. Types are told apart by package name and type name.
type Sources []string

// comments holds the text of each field's comment by "package.Type.Field".
type comments map[string]string

func (src Sources) comments() (comments, error) {
	all := comments{}
	for i, text := range src {
		file, err := parser.ParseFile(token.NewFileSet(), fmt.Sprintf("source %d", i), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("cannot read comments of configuration types: %w", err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				all.take(file.Name.Name+"."+spec.Name.Name, spec)
			}
			return true
		})
	}
	return all, nil
}

func (c comments) take(name string, spec *ast.TypeSpec) {
	body, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range body.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, id := range f.Names {
			c[name+"."+id.Name] = unwrap(text)
		}
	}
}

// of returns the description of a field. A key without one is an error, so that
// a test can demand them all.
func (c comments) of(f *field) (string, error) {
	name, _, _ := strings.Cut(f.owner.String(), "[")
	text := c[name+"."+f.name]
	if text != "" && f.restart != "" {
		text += " A change takes effect at the next start."
	}
	if text != "" {
		return text, nil
	}
	return "", fmt.Errorf("no comment for key %q: expected one on field %s of type %s in the given sources", f.key, f.name, name)
}

// unwrap joins the lines of each paragraph.
func unwrap(text string) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(p), " ")
	}
	return strings.Join(paragraphs, "\n\n")
}

// trail guards against types that contain themselves: they have no finite
// schema or manual.
type trail []reflect.Type

func (t trail) enter(next reflect.Type) (trail, error) {
	for _, outer := range t {
		if outer == next {
			return nil, fmt.Errorf("type %s contains itself: expected a configuration of finite depth", next)
		}
	}
	return append(t[:len(t):len(t)], next), nil
}

// rootOf returns the struct behind a root given as value or pointer.
func rootOf(root any) (reflect.Value, error) {
	v := reflect.Indirect(reflect.ValueOf(root))
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return v, fmt.Errorf("cannot describe %T: expected a struct or a pointer to one", root)
	}
	return v, nil
}
