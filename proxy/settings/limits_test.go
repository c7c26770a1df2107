package settings_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestDecodeLimits(t *testing.T) {
	laughs := "levels: &l0 {a: debug, b: debug, c: debug, d: debug, e: debug, f: debug, g: debug, h: debug, i: debug, j: debug}\npools:\n"
	for i := range 12 {
		laughs += fmt.Sprintf("  p%d: &l%d {<<: [%s*l%d]}\n", i, i+1, strings.Repeat(fmt.Sprintf("*l%d, ", i), 9), i)
	}
	tests := []struct{ name, src, want string }{
		{"billion laughs by merges", laughs, "aliases expand to too much: expected at most 1048576 values and 100 levels"},
		{"many aliases", "levels: &t {a: &a [" + strings.Repeat("{name: a},", 2000) + "]}\npools:\n" + numbered(600, " a%d: {<<: *a}\n"), "aliases expand to too much"},
		{"flow depth", strings.Repeat("[", 1<<20), "1:101: nested too deeply: expected at most 100 levels"},
		{"block list depth", strings.Repeat("- ", 1<<16), "nested too deeply"},
		{"block depth", deep(101), "nested too deeply"},
		{"question marks", strings.Repeat("? ", 1<<16), "nested too deeply"},
		{"tags", strings.Repeat("!a ", 1<<16), "nested too deeply"},
		{"anchors", strings.Repeat("&a ", 1<<16), "nested too deeply"},
		{"flow pairs", "[" + strings.Repeat("a: 1\n", 1<<16), "nested too deeply"},
		{"siblings", strings.Repeat("a: 1\n", 1<<16), "10001:2: too many keys: expected at most 10000 in a mapping"},
		{"anchored siblings", strings.Repeat("&a a: 1\n&bb a: 1\n", 1<<15), "too many keys"},
		{"nulls", strings.Repeat("-\n", 1<<16), "too many empty values: expected at most 10000 in a file"},
		{"documents", strings.Repeat("---\n...\n", 1<<16), "too many documents: expected one document in the file"},
		{"empty lines", "token: |\n" + strings.Repeat("  \n", 1<<20) + "port: 1\n", "1002:1: too many empty lines: expected at most 1000 in a row"},
		{"size", strings.Repeat("#", 16<<20+1), "1:1: the file has 16777217 bytes: expected at most 16MiB"},
		{"many errors", "levels: {" + strings.Repeat("a: b,\n", 5000) + "}", "more than 1000 errors: only the first are shown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, doc := decode(test.src)
			if got := errorsOf(doc); !strings.Contains(got, test.want) {
				t.Errorf("got %.300s\nwant %s", got, test.want)
			}
		})
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// deep nests n block mappings.
func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
