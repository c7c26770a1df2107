package lua_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

const typesDir = "../scripts/types"

func TestTypesDeclareTheAPI(t *testing.T) {
	registered, err := lua.API()
	if err != nil {
		t.Fatal(err)
	}
	declared := declaredNames(t)
	for _, name := range registered {
		if !slices.Contains(declared, name) {
			t.Errorf("%s is registered, but %s doesn't declare it", name, typesDir)
		}
	}
	for _, name := range declared {
		if !slices.Contains(registered, name) {
			t.Errorf("%s is declared in %s, but nothing of that name is registered", name, typesDir)
		}
	}
}

// The methods of compiled patterns are the functions of keystone.re that take
// a pattern; what chi.with returns is chi without what opens a scope.
func TestTypesDeclareObjects(t *testing.T) {
	registered, err := lua.API()
	if err != nil {
		t.Fatal(err)
	}
	names := func(prefix string, but ...string) (names []string) {
		for _, name := range registered {
			if rest, ok := strings.CutPrefix(name, prefix); ok && !slices.Contains(but, rest) {
				names = append(names, rest)
			}
		}
		return names
	}
	for _, test := range []struct {
		class, file string
		want        []string
	}{
		{"keystone.re.Pattern", "keystone/re.lua", names("keystone.re.", "compile", "escape")},
		{"keystone.Router", "keystone.lua", names("chi.", "group", "not_found", "method_not_allowed", "get_head", "tls_ask")},
	} {
		have := parseTypes(t, test.file).classes[test.class]
		slices.Sort(have)
		if !slices.Equal(have, test.want) {
			t.Errorf("%s declares %v, expected %v", test.class, have, test.want)
		}
	}
}

// A property is a case of a switch, and an entry of a list that API reads.
func TestPropertiesAreListed(t *testing.T) {
	registered, err := lua.API()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, function, object string }{
		{"request.go", "requestProperty", "request"}, {"response.go", "responseProperty", "response"},
	} {
		cases := casesOf(t, test.file, test.function)
		if len(cases) == 0 {
			t.Errorf("%s has no cases in %s", test.function, test.file)
		}
		for _, name := range cases {
			if !slices.Contains(registered, test.object+"."+name) {
				t.Errorf("%s.%s is no entry of %sProperties", test.object, name, test.object)
			}
		}
		for _, name := range registered {
			if name, ok := strings.CutPrefix(name, test.object+"."); ok && !slices.Contains(cases, name) {
				t.Errorf("%s is an entry of %sProperties, but no case of %s", name, test.object, test.function)
			}
		}
	}
}

// casesOf returns the strings that a function's switches compare with.
func casesOf(t *testing.T, file, function string) (cases []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range parsed.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			clause, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, e := range clause.List {
				if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					name, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					cases = append(cases, name)
				}
			}
			return true
		})
	}
	return cases
}

// declaredNames are the names of the types' files, as lua.API has them.
func declaredNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(typesDir + "/keystone/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no modules in %s: %v", typesDir, err)
	}
	for _, path := range files {
		module := strings.TrimSuffix(filepath.Base(path), ".lua")
		names = append(names, "keystone."+module)
		types := parseTypes(t, "keystone/"+module+".lua")
		if types.module != "keystone."+module {
			t.Errorf("%s is for the module %q", path, types.module)
		}
		for _, name := range types.names {
			if rest, ok := strings.CutPrefix(name, module+"."); ok {
				names = append(names, "keystone."+module+"."+rest)
			}
		}
		for _, field := range types.classes["keystone."+module] {
			names = append(names, "keystone."+module+"."+field)
		}
	}
	for _, file := range []string{"keystone.lua", "stdlib.lua"} {
		types := parseTypes(t, file)
		names = append(names, types.names...)
		for _, class := range []struct{ name, table string }{
			{"keystone.Request", "request"}, {"keystone.Response", "response"}, {"keystone.chi", "chi"}, {"mathlib", "math"}, {"packagelib", "package"},
		} {
			for _, field := range types.classes[class.name] {
				names = append(names, class.table+"."+field)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestTypesAreLua(t *testing.T) {
	for _, pattern := range []string{"/*.lua", "/keystone/*.lua"} {
		files, err := filepath.Glob(typesDir + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files: %v", err)
		}
		for _, path := range files {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := vm.Compile(source, path, vm.Options{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// types is what a file declares.
type types struct {
	module  string
	names   []string            // functions and globals: "chi.get", "request:header"
	classes map[string][]string // fields and methods by class
}

var (
	metaLine     = regexp.MustCompile(`^---@meta (\S+)`)
	classLine    = regexp.MustCompile(`^---@class ([\w.]+)`)
	fieldLine    = regexp.MustCompile(`^---@field (\w+)`)
	functionLine = regexp.MustCompile(`^function ([\w.:]+)\(.*\) end$`)
	globalLine   = regexp.MustCompile(`^(\w+) = `)
	localLine    = regexp.MustCompile(`^local (\w+) = \{\}$`)
)

// parseTypes reads a file of the types, whose layout is as plain as it is.
func parseTypes(t *testing.T, name string) types {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(typesDir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	result := types{classes: map[string][]string{}}
	class := ""
	classOf := map[string]string{} // of local tables
	for i, line := range strings.Split(string(source), "\n") {
		switch {
		case metaLine.MatchString(line):
			result.module = metaLine.FindStringSubmatch(line)[1]
		case classLine.MatchString(line):
			class = classLine.FindStringSubmatch(line)[1]
			result.classes[class] = nil
		case fieldLine.MatchString(line):
			result.classes[class] = append(result.classes[class], fieldLine.FindStringSubmatch(line)[1])
		case localLine.MatchString(line):
			classOf[localLine.FindStringSubmatch(line)[1]] = class
		case functionLine.MatchString(line):
			function := functionLine.FindStringSubmatch(line)[1]
			result.names = append(result.names, function)
			if object, method, ok := strings.Cut(function, ":"); ok && classOf[object] != "" && object == "pattern" {
				result.classes[classOf[object]] = append(result.classes[classOf[object]], method)
			}
		case globalLine.MatchString(line):
			result.names = append(result.names, globalLine.FindStringSubmatch(line)[1])
		case line == "", strings.HasPrefix(line, "--"), strings.HasPrefix(line, "return "):
		default:
			t.Errorf("%s:%d: a line that this test doesn't understand: %s", name, i+1, line)
		}
	}
	return result
}
