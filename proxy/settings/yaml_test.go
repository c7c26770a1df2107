package settings_test

import (
	"strings"
	"testing"
)

// TestNotYAML breaks the syntax in each way that it can be broken, and demands
// of the error what was expected, in no parser's words.
func TestNotYAML(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ src, want string }{
		"tab":                {"tls:\n\tcert: a\n", "2:1: cannot read this as YAML: the line is indented with a tab"},
		"tab in a list":      {"tenants:\n-\tname: a\n\tx: b\n", "tab"},
		"open list":          {"tenants: [a, b\nport: 1\n", "the list that begins with [ doesn't end"},
		"open mapping":       {"tls: {cert: a\nport: 1\n", "the mapping that begins with { doesn't end"},
		"stray bracket":      {"address: ]\n", "there is a ] or } without its [ or {"},
		"open quotes":        {"address: \"a\nport: 1\n", "the text in quotes doesn't end"},
		"open single quotes": {"address: 'a\nport: 1\n", "the text in quotes doesn't end"},
		"escape":             {`address: "C:\dir"` + "\n", "there is an escape that isn't known"},
		"colon in a value":   {"address: a: b\n", "the value has a colon and a space in it, expected quotes around it"},
		"no space":           {"port:80\naddress: a\n", `there is no space after the colon of "port:"`},
		"no colon":           {"address: a\nport\ntls:\n  cert: b\n", `the line is no "key: value"`},
		"indentation":        {"tls:\n  cert: a\n   key: b\n", "expected"},
		"less indentation":   {"tenants:\n  - name: a\n domains: []\n", "expected it to be indented as its neighbours are"},
		"list on key's line": {"tenants: - name: a\n", `a "- " is not where a list can be`},
		"nginx":              {"address: a\nserver {\n  listen 80;\n}\n", "the line looks like another language's"},
		"TOML":               {"[server]\naddress = \"a\"\n", "cannot read this as YAML"},
		"anchor":             {"address: &\nport: 1\n", "the value begins with &, which means something in YAML"},
		"alias":              {"address: *\nport: 1\n", "the value begins with *, which means something in YAML"},
		"complex key":        {"? [a]\n: 1\n", "the key is not a plain word"},
		"percent":            {"%\nport: 1\n", "a directive (%)"},
		"block":              {"address: |x\n  a\n", "a text of several lines (| or >)"},
		"nothing":            {"\x00\x01", "expected"},
		"at sign":            {"address: @a\n", "expected"},
		"backquote":          {"address: `a`\n", "expected"},
	} {
		t.Run(name, func(t *testing.T) {
			_, doc := decode(test.src)
			got := errorsOf(doc)
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %q in it", got, test.want)
			}
			for _, word := range []string{"end token", "sequence", "goccy", "must be specified", "could not find", "unexpected", "pre-defined", "not allowed", "context", "found "} {
				if strings.Contains(got, word) {
					t.Errorf("%s has a parser's word, %q", got, word)
				}
			}
		})
	}
}
