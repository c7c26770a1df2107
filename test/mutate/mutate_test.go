package main

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestVerdicts judges a package whose tests are known to leave gaps.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	if os.Getenv("KEYSTONE_LONG") == "" {
		t.Skip("it builds and runs tests for a minute: KEYSTONE_LONG=1 runs it")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs go")
	}
	dir := t.TempDir()
	var out, errors bytes.Buffer
	code := run(t.Context(), []string{"-dir", dir, "-minimum", "90", "-cpu", "1s", "-patience", "1m", "./testdata/sample"}, &out, &errors)
	if code != 1 || errors.Len() > 0 {
		t.Errorf("got code %d, want 1, since less than 90 %% are killed; errors: %s", code, &errors)
	}
	results, err := os.ReadFile(filepath.Join(dir, "test_mutate_testdata_sample", "results.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(results)) {
		fields := strings.Split(line, "\t")
		got[strings.TrimPrefix(fields[1], "test/mutate/testdata/sample ")] = fields[0]
	}
	want := map[string]string{
		"Fits: boundary: n <= Limit":      killed,
		"Fits: negate: n <= Limit":        killed,
		"Roughly: boundary: n <= Limit":   survived,
		"Roughly: negate: n <= Limit":     killed,
		"Both: without left: a && b":      killed,
		"Both: without right: a && b":     survived,
		"Count: plus one: 0":              killed,
		"Count: negate: n > 0":            killed,
		"Count: boundary: n > 0":          killed,
		"Count: delete: n--":              hung,
		"Count: delete: steps++":          killed,
		"Count: zero: steps":              killed,
		"var wait: zero: 2 * time.Second": survived,
	}
	for key, verdict := range want {
		if got[key] != verdict {
			t.Errorf("%s: got %q, want %s", key, got[key], verdict)
		}
		delete(got, key)
	}
	for key := range got {
		t.Errorf("%s isn't wanted: %s", key, got[key])
	}

	out.Reset()
	if code := run(t.Context(), []string{"-dir", dir, "-list", "-minimum", "50", "./testdata/sample"}, &out, &errors); code != 0 || strings.Count(out.String(), "Roughly") != 1 {
		t.Errorf("got code %d, want 0 and what has survived:\n%s", code, &out)
	}
}

// find returns the keys of the mutants of a function's body, and the body with
// all of them.
func find(t *testing.T, body string) (keys []string, changed string) {
	t.Helper()
	const head = "package p\nfunc f(a, b int, s string, ok, is bool, list []int, at map[int]int, err error) (int, error) {\n"
	text := head + body + "\n}\n"
	s := &source{ImportPath: "m/p", Name: "p", set: token.NewFileSet(), Module: &module{Path: "m"}, imports: importer.Default()}
	tree, err := parser.ParseFile(s.set, "p.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	s.files = []*file{{"p.go", []byte(text), tree}}
	s.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	if _, err := (&types.Config{}).Check("m/p", s.set, []*ast.File{tree}, s.info); err != nil {
		t.Fatal(err)
	}
	schema := &schema{}
	f := &finder{source: s, file: s.files[0], sites: &schema.sites, seen: map[string]int{}}
	for _, declared := range tree.Decls {
		f.walk(declared)
	}
	for _, site := range schema.sites {
		keys = append(keys, strings.TrimPrefix(site.key, "p f: "))
	}
	changed = strings.TrimPrefix(apply([]byte(text), f.edits), head)
	if _, err := parser.ParseFile(token.NewFileSet(), "p.go", head+changed, 0); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	return keys, strings.TrimSuffix(changed, "\n}\n")
}

func TestMutants(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		keys    []string
		changed string
	}{
		"return a, err": {[]string{"zero: a", "zero: err"}, "return mutZero[int](1, a), mutZero[error](2, err)"},
		"return 0, nil": {[]string{"plus one: 0"}, "return mutPlus(1, int(0)), nil"},
		"return 0, err": {[]string{"zero: err"}, "return 0, mutZero[error](1, err)"},
		"_ = func() (int, bool) { return 0, false }; panic(s)": {[]string{"flip: false"}, "_ = func() (int, bool) { return 0, (mutIs(1) != (false)) }; panic(s)"},
		"_ = func() (int, bool) { return 0, true }; panic(s)":  {[]string{"plus one: 0", "flip: true"}, "_ = func() (int, bool) { return mutPlus(1, int(0)), (mutIs(2) != (true)) }; panic(s)"},
		"_ = func() struct{} { return struct{}{} }; panic(s)":  {nil, "_ = func() struct{} { return struct{}{} }; panic(s)"},
		`panic("BUG: " + s)`:                                {nil, `panic("BUG: " + s)`},
		"defer recover(); panic(s)":                         {[]string{"undefer: defer recover()"}, "if !mutIs(1) { defer recover() }; panic(s)"},
		"a = b; panic(s)":                                   {[]string{"delete: a = b"}, "if !mutIs(1) { a = b }; panic(s)"},
		"_ = b; panic(s)":                                   {nil, "_ = b; panic(s)"},
		"c := true; _ = c; panic(s)":                        {[]string{"flip: true"}, "c := (mutIs(1) != (true)); _ = c; panic(s)"},
		"_ = a + b; panic(s)":                               {[]string{"minus: a + b"}, "_ = a + mutNeg(1, b); panic(s)"},
		"_ = a - 1; panic(s)":                               {[]string{"minus: a - 1", "plus one: 1"}, "_ = a - mutNeg(1, int(mutPlus(2, int(1)))); panic(s)"},
		`_ = s + "x"; panic(s)`:                             {nil, `_ = s + "x"; panic(s)`},
		"_ = list[1 << 4]; panic(s)":                        {[]string{"plus one: 1 << 4"}, "_ = list[mutPlus(1, int(1 << 4))]; panic(s)"},
		"_ = a + 4 << 10; panic(s)":                         {[]string{"minus: a + 4 << 10"}, "_ = a + mutNeg(1, int(4 << 10)); panic(s)"},
		"_ = a > 4 << 10; panic(s)":                         {[]string{"negate: a > 4 << 10", "boundary: a > 4 << 10", "plus one: 4 << 10"}, "_ = (mutIs(1) != (mutGreater(2, a , mutPlus(3, int(4 << 10))))); panic(s)"},
		"_ = a < 3; panic(s)":                               {[]string{"negate: a < 3", "boundary: a < 3"}, "_ = (mutIs(1) != (mutLess(2, a , 3))); panic(s)"},
		"_ = ok && is; panic(s)":                            {[]string{"without left: ok && is", "without right: ok && is"}, "_ = (mutIs(1) || (ok)) && (mutIs(2) || (is)); panic(s)"},
		"_ = ok || is; panic(s)":                            {[]string{"without left: ok || is", "without right: ok || is"}, "_ = (!mutIs(1) && (ok)) || (!mutIs(2) && (is)); panic(s)"},
		"if ok { panic(s) }; panic(s)":                      {[]string{"negate: ok"}, "if (mutIs(1) != (ok)) { panic(s) }; panic(s)"},
		"for i := 0; ok; i++ { break }; panic(s)":           {[]string{"plus one: 0", "negate: ok"}, "for i := mutPlus(1, int(0)); (mutIs(2) != (ok)); i++ { break }; panic(s)"},
		"switch a { case 1: panic(s) }; panic(s)":           {nil, "switch a { case 1: panic(s) }; panic(s)"},
		"switch { case ok: panic(s) }; panic(s)":            {[]string{"negate: ok"}, "switch { case (mutIs(1) != (ok)): panic(s) }; panic(s)"},
		"_ = make([]int, 0, 64); panic(s)":                  {nil, "_ = make([]int, 0, 64); panic(s)"},
		"_ = [3]int{1: a}; _ = map[int]int{7: a}; panic(s)": {[]string{"plus one: 7"}, "_ = [3]int{1: a}; _ = map[int]int{mutPlus(1, int(7)): a}; panic(s)"},
		"a, at[0] = at[0], 1; return a, err": {
			[]string{"delete: a, at[0] = at[0], 1", "plus one: 0", "plus one: 0 #2", "plus one: 1", "zero: a", "zero: err"},
			"if !mutIs(1) { a, at[mutPlus(2, int(0))] = at[mutPlus(3, int(0))], mutPlus(4, int(1)) }; return mutZero[int](5, a), mutZero[error](6, err)",
		},
	} {
		keys, changed := find(t, body)
		if !slices.Equal(keys, want.keys) || changed != want.changed {
			t.Errorf("%s\n got %q\nwant %q\n got %s\nwant %s", body, keys, want.keys, changed, want.changed)
		}
	}
}

// TestTextOfMutants keeps keys short, and free of how lines are broken.
func TestTextOfMutants(t *testing.T) {
	t.Parallel()
	keys, _ := find(t, "a =\n\tb; s = \""+strings.Repeat("x", 200)+"\"; panic(s)")
	if want := []string{"delete: a = b", "delete: s = \"" + strings.Repeat("x", 95) + "…"}; !slices.Equal(keys, want) {
		t.Errorf("got %q, want %q", keys, want)
	}
}

func TestEquivalents(t *testing.T) {
	t.Parallel()
	reasons, err := parseEquivalents("# words\n\np f: zero: a\np f: zero: b\n\tnobody\n\tlooks\np g: flip: true\n\tboth do\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"p f: zero: a": "nobody looks", "p f: zero: b": "nobody looks", "p g: flip: true": "both do"}
	if !maps.Equal(reasons, want) {
		t.Errorf("got %q, want %q", reasons, want)
	}
	for _, text := range []string{"p f: zero: a\n", "\ta reason alone\n"} {
		if reasons, err := parseEquivalents(text); err == nil {
			t.Errorf("%q is taken as %q, want an error", text, reasons)
		}
	}
}

// TestEquivalentsHaveReasons reads the list that stands.
func TestEquivalentsHaveReasons(t *testing.T) {
	t.Parallel()
	if _, err := readEquivalents("../.."); err != nil {
		t.Error(err)
	}
}

// TestJudgesExist reads the list that stands.
func TestJudgesExist(t *testing.T) {
	t.Parallel()
	judges, err := readJudges("../..")
	if err != nil || len(judges["proxy/exchange"]) == 0 {
		t.Fatalf("%q, %v", judges, err)
	}
	for name, list := range judges {
		for _, judge := range append(list, name) {
			dir, tests, _ := strings.Cut(judge, ":")
			if _, err := regexp.Compile(tests); err != nil {
				t.Error(err)
			}
			if found, err := filepath.Glob(filepath.Join("../..", dir, "*.go")); len(found) == 0 {
				t.Errorf("%s, which judges.txt names, is no package: %v", dir, err)
			}
		}
	}
}
