package modules_test

import (
	"fmt"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"
	"golang.org/x/net/html"

	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// structure is what a page consists of, as another reader of HTML sees it: elements,
// names of attributes, remarks, and no text.
func structure(page string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			continue
		case html.CommentToken, html.DoctypeToken:
			fmt.Fprintf(&out, "%v %q\n", kind, token.Data)
			continue
		}
		fmt.Fprintf(&out, "%v %s", kind, token.Data)
		for _, a := range token.Attr {
			fmt.Fprintf(&out, " %s:%s", a.Namespace, a.Key)
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				fmt.Fprintf(&out, "=%q", a.Val)
			}
			if v := strings.ToLower(strings.TrimSpace(a.Val)); a.Key == "href" && strings.HasPrefix(v, "javascript:") {
				out.WriteString("=javascript:")
			}
		}
		out.WriteByte('\n')
	}
}

// rendered is a template with a value for all its names, or "".
func rendered(t *testing.T, text, value string) string {
	t.Helper()
	v := newTextVM(t, vmtest.Limits())
	v.L.SetGlobal("text", glua.LString(text))
	v.L.SetGlobal("value", glua.LString(value))
	return v.eval(`local ok, t = pcall(template.compile, text, {partials = {p = "<b class='{{ x }}'>{{ x }}</b>"}})
		if not ok then return "" end
		local ok, out = pcall(t.render, t, {x = value, y = value, l = {value, value}})
		return ok and out or ""`)
}

// FuzzTemplateStructure: whatever a value is, the page consists of the same elements and
// attributes as with a harmless one, as the HTML reader of golang.org/x/net has it.
func FuzzTemplateStructure(f *testing.F) {
	values := []string{`"><script>alert(1)</script>`, `' onclick='x`, "javascript:alert(1)", "</title><b>", "--><b>", " x=y ", "a b", "\x00<", "&lt;b&gt;", "]]>", "`"}
	for i, text := range []string{
		`<a href="{{ x }}" title='{{ y }}'>{{ x }}</a>`, `<ul>{{#l}}<li class="{{ . }}">{{ . }}</li>{{/l}}</ul>`,
		`<title>{{ x }}</title><textarea>{{ x }}</textarea>`, `<p {{#x}}hidden{{/x}} id="{{ x }}">`, `{{> p }}<br/>{{ x }}`,
		`<a href="/{{ x }}?q={{ y }}#{{ x }}">`, `<!-- a --><script>a < b</script>{{ x }}`, `<option{{#x}} selected{{/x}} value="{{ x }}">`,
		`a < b {{ x }} <3 {{ x }}`, `<a b=c d='{{ x }}'e="{{ x }}">`, `<svg><a xlink:href="{{ x }}"/></svg>`,
	} {
		f.Add(text, values[i%len(values)])
		f.Add(text, values[(i+5)%len(values)])
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if strings.Contains(text, "{{{") || strings.Contains(text, "&") || strings.Contains(text, "\x00") || value == "" {
			return
		}
		harmless, hostile := rendered(t, text, "x"), rendered(t, text, value)
		if a, b := structure(harmless), structure(hostile); a != b {
			t.Errorf("%q with %q is\n%q\nof\n%s\nand not of\n%s", text, value, hostile, b, a)
		}
	})
}
