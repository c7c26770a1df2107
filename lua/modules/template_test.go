package modules_test

import (
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`return template.render("a {{ x }} b {{y}}", {x = 1, y = "z"})`, "a 1 b z"},
		{`return template.render("{{ x }}", {x = "<a href='x'>\"&\0"})`, "&lt;a href=&#39;x&#39;&gt;&#34;&amp;\uFFFD"},
		{`return template.render("{{{ x }}}{{& x }}", {x = "<b>"})`, "<b><b>"},
		{`return template.render("{{ a.b.c }}{{ a.x.y }}{{ none }}", {a = {b = {c = 5}}})`, "5"},
		{`return template.render("{{ l.1 }}{{ l.2.x }}", {l = {"a", {x = "b"}}})`, "ab"},
		{`return template.render("{{ t }}{{ f }}{{ n }}", {t = true, f = false, n = json.null})`, "truefalse"},
		{`return template.render("{{ n }}", {n = json.decode("12345678901234567890")})`, "12345678901234567890"},
		{`return template.render("{{#l}}<{{.}}>{{/l}}", {l = {1, 2, 3}}, {escape = "none"})`, "<1><2><3>"},
		{`return template.render("{{#l}}{{x}}{{y}}{{/l}}", {y = "!", l = {{x = 1}, {x = 2, y = "?"}}})`, "1!2?"},
		{`return template.render("{{#o}}{{x}}{{/o}}{{#s}}[{{.}}]{{/s}}{{#t}}t{{/t}}{{#f}}f{{/f}}{{#e}}e{{/e}}{{#n}}n{{/n}}{{#z}}z{{/z}}", {o = {x = 1}, s = "s", t = true, f = false, e = {}, z = 0})`, "1[s]tz"},
		{`return template.render("{{^o}}o{{/o}}{{^f}}f{{/f}}{{^e}}e{{/e}}{{^n}}n{{/n}}{{^j}}j{{/j}}", {o = {x = 1}, f = false, e = {}, j = json.null})`, "fenj"},
		{`return template.render("{{#a}}{{#b}}{{c}}{{/b}}{{/a}}", {c = 1, a = {b = {{}, {c = 2}}}})`, "12"},
		{"return template.render('a\\n  {{#l}}\\n  - {{.}}\\n  {{/l}}\\n{{! gone }}\\nb', {l = {1, 2}})", "a\n  - 1\n  - 2\nb"},
		{"return template.render('x {{#l}}\\n{{/l}} y', {l = {1}})", "x \n y"},
		{`return template.render("{{> a }}|{{> b}}", {x = 1}, {partials = {a = "a{{x}}", b = "{{> a }}{{> a}}"}})`, "a1|a1a1"},
		{`return template.render("{{ x }}", nil)`, ""},
		{`return template.render("{{ x }}", "text")`, ""},
		{`return template.render("{{ . }}", "te<xt")`, "te&lt;xt"},
		{`local t = template.compile("{{ x }}") return t:render({x = 1}), t:render({x = 2}), tostring(t), getmetatable(t)`, "1 2 template false"},
		{`return template.escape("<&>\"'"), template.escape(5)`, "&lt;&amp;&gt;&#34;&#39; 5"},
		{`local called = false template.render("{{ x }}{{#y}}{{/y}}", setmetatable({}, {__index = function() called = true end})) return called`, "false"},
		{`return template.render("{{ x }}", {x = {}})`, "error: template 1:1: x is a table, expected text"},
		{`return template.render("a\nä {{ x.y }}", {x = {y = print}})`, "error: template 2:3: x.y is a function, expected text"},
		{`return template.render("{{> p }}", {x = {}}, {partials = {p = "\n{{ x }}"}})`, "error: template p:2:1: x is a table"},
		{`return template.render("{{ x }}", {}, {strict = true})`, "error: template 1:1: x is missing"},
		{`return template.render("{{#x}}{{/x}}{{ y }}", {y = 1}, {strict = true})`, "1"},
	})
}

// TestTemplateIsWrong: what is wrong with a template is said with its place.
func TestTemplateIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a {{ x":                                   `1:3: the tag has no end, expected }}`,
		"a\n\n {{{ x }}":                           `3:2: the tag has no end, expected }}}`,
		"{{ }}":                                    `1:1: the tag has no name`,
		"{{ a b }}":                                `1:1: "a b" is no name`,
		"{{ a..b }}":                               `1:1: "a..b" is no name`,
		"{{#x}}":                                   `1:1: the section "x" has no end, expected {{/x}}`,
		"x{{/x}}":                                  `1:2: {{/x}} ends no section`,
		"{{#a}}\n{{/b}}":                           `2:1: {{/b}} ends the section "a", which begins at 1:1: expected {{/a}}`,
		"{{=<% %>=}}":                              `1:1: {{= can't change the braces`,
		"{{> p }}":                                 `1:1: there is no part "p"`,
		"{{> q }}":                                 `q:1:1: the section "x" has no end`,
		"{{> r }}":                                 `are within each other`,
		strings.Repeat("{{#a}}", 51):               `1:301: more than 50 sections`,
		strings.Repeat("{{a}}", 10_001):            `more than 10000 pieces`,
		strings.Repeat("x", 300_000):               `more than 262144 bytes`,
		"<script>{{ x }}</script>":                 `1:9: a value can't stand in the element script`,
		"<SCRIPT type=x>\n{{ x }}":                 `2:1: a value can't stand in the element script`,
		"<style>{{ x }}</style>":                   `a value can't stand in the element style`,
		"<a onclick=\"{{ x }}\">":                  `a value can't stand in the attribute onclick`,
		"<a style='{{ x }}'>":                      `a value can't stand in the attribute style`,
		"<a x-on:click='{{ x }}'>":                 `a value can't stand in the attribute x-on:click`,
		"<img srcset='{{ x }}'>":                   `a value can't stand in the attribute srcset`,
		"<iframe srcdoc='{{ x }}'>":                `a value can't stand in the attribute srcdoc`,
		"<a href=\"javascript:f('{{ x }}')\">":     `1:24: a value can't stand in a URL that may be a program`,
		"<a href=' JaVa&#115;cript:{{ x }}'>":      `a value can't stand in a URL that may be a program`,
		"<a href='data:text/html,?{{ x }}'>":       `a value can't stand in a URL that may be a program`,
		"<a href={{ x }}>":                         `1:9: a value can't stand in an attribute without quotes`,
		"<a href=/{{ x }}>":                        `a value can't stand in an attribute without quotes`,
		"<a {{ x }}>":                              `a value can't stand in the name of an attribute`,
		"<a b{{ x }}='y'>":                         `a value can't stand in the name of an attribute`,
		"<{{ x }}>":                                `a value can't stand in the name of an element`,
		"<a{{ x }}>":                               `a value can't stand in the name of an element`,
		"</{{ x }}>":                               `a value can't stand in the name of an element`,
		"<!-- {{ x }} -->":                         `a value can't stand in a comment`,
		"<!DOCTYPE {{ x }}>":                       `a value can't stand in a comment`,
		"<{{# x }}a{{/ x }}>":                      `a tag of the template can't stand right behind <`,
		"<a {{#x}}hre{{/x}}f='{{ y }}'>":           `a blank is missing`,
		"<a {{#x}}href{{/x}}='{{ y }}'>":           `a blank is missing`,
		"<scr{{#x}}{{/x}}ipt>{{ y }}</script>":     `a blank is missing`,
		"{{#x}}<a {{/x}}>":                         `1:1: the section ends in another part of the HTML`,
		"<a href='{{#x}}'{{/x}}>":                  `the section ends in another part of the HTML`,
		"<a {{#x}}b='{{/x}}'>":                     `the section ends in another part of the HTML`,
		"<a ='{{ x }}'>":                           `an attribute has no name`,
		"\n\n<a {{#x}}b{{/x}}\nc{{#y}}d{{/y}}='z'": `4:1: a blank is missing`,
		"<script></scr{{! no }}ipt>{{#x}}{{/x}}<a href={{ y }}>": `a value can't stand in an attribute without quotes`,
		"<title></tit{{#x}}{{/x}}le>":                            `a tag of the template can't stand right behind <`,
	} {
		v := newTextVM(t, vmtest.Limits())
		v.L.SetGlobal("text", glua.LString(text))
		got := v.eval(`return template.compile(text, {partials = {q = "{{#x}}", r = "{{> r }}"}})`)
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
			t.Errorf("%.60q\ngives    %.300s\nexpected %s", text, got, want)
		}
	}
	runTextCases(t, []textCase{
		{`return template.compile()`, "error: string expected"},
		{`return template.compile("a", {escape = "js"})`, `error: escape is "js", expected "html" or "none"`},
		{`return template.compile("a", {html = true})`, "error: there is no option"},
		{`return template.compile("a", {partials = {x = {"a", "b"}}})`, "error: partials must be a table of texts by names"},
		{`return template.compile("a").render("b")`, "error: template expected"},
	})
}

// TestTemplateContexts: each value is written as is safe where it stands.
func TestTemplateContexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, value, want string }{
		{`<p title="{{ x }}">`, `" onclick='x'`, `<p title="&#34; onclick=&#39;x&#39;">`},
		{`<p title='a {{ x }} b'>`, `'`, `<p title='a &#39; b'>`},
		{`<a href="{{ x }}">`, "https://a.example/b?c=d&e=f#g", `<a href="https://a.example/b?c=d&amp;e=f#g">`},
		{`<a href="{{ x }}">`, "/a b\"'<>", `<a href="/a%20b%22%27%3C%3E">`},
		{`<a href="{{ x }}">`, "mailto:a@b.example", `<a href="mailto:a@b.example">`},
		{`<a href="{{ x }}">`, "javascript:alert(1)", `<a href="#unsafe-url">`},
		{`<a href="{{ x }}">`, "JaVaScript:alert(1)", `<a href="#unsafe-url">`},
		{`<a href="{{ x }}">`, " javascript:alert(1)", `<a href="#unsafe-url">`},
		{`<a href="{{ x }}">`, "java\tscript:alert(1)", `<a href="#unsafe-url">`},
		{`<a href="{{ x }}">`, "data:text/html,x", `<a href="#unsafe-url">`},
		{`<a href="{{ x }}">`, "//other.example", `<a href="//other.example">`},
		{`<a href="{{ x }}">`, "a/b:c", `<a href="a/b:c">`},
		{`<a HREF = "{{ x }}">`, "javascript:x", `<a HREF = "#unsafe-url">`},
		{`<svg><a xlink:href="{{ x }}">`, "javascript:x", `<svg><a xlink:href="#unsafe-url">`},
		{`<div data-src="{{ x }}">`, "javascript:x", `<div data-src="#unsafe-url">`},
		{`<a href="/u/{{ x }}">`, "a/b?c&d:e ü", `<a href="/u/a/b%3Fc%26d%3Ae%20%C3%BC">`},
		{`<a href="/?q={{ x }}">`, "a/b&c=d", `<a href="/?q=a%2Fb%26c%3Dd">`},
		{`<a href="/{{ x }}">`, "/evil.example", `<a href="/%2Fevil.example">`},
		{`<a href="/{{ x }}">`, "//evil.example", `<a href="/%2F/evil.example">`},
		{`<a href="/{{ no }}/{{ x }}">`, "evil.example", `<a href="/./evil.example">`},
		{`<a href="/{{#no}}n{{/no}}/{{ x }}">`, "evil.example", `<a href="//#unsafe-url">`},
		{`<a href="{{ no }}{{ x }}">`, "//evil.example", `<a href="/%2Fevil.example">`},
		{`<a href="{{ x }}">`, "", `<a href="">`},
		{`<a href="https://{{ x }}.example.com/a">`, "evil.example/", `<a href="https://evil.example%2F.example.com/a">`},
		{`<a href="https://{{ x }}.example.com/{{ x }}">`, "a/b", `<a href="https://a%2Fb.example.com/a/b">`},
		{`<a href="https:{{ x }}">`, "//evil.example", `<a href="https:%2F%2Fevil.example">`},
		{`<a href="https://a.example{{ x }}">`, "/b/c", `<a href="https://a.example/b/c">`},
		{`<a href="{{ x }}{{ path }}">`, "https://a.example", `<a href="https://a.example/p/q">`},
		{`<a href="{{ path }}{{ x }}">`, "//a.example", `<a href="/p/q//a.example">`},
		{`<a href="{{ x }}{{ x }}">`, "//a", `<a href="//a//a">`},
		{`<a href="{{ x }}://a{{ x }}.example/{{ x }}">`, "https", `<a href="https://ahttps.example/https">`},
		{`<a href="{{ x }}{{ bare }}">`, "https://a.example", `<a href="https://a.example#unsafe-url">`},
		{`<a href="https://{{ x }}{{ path }}.example/">`, "evil", `<a href="https://evil%2Fp%2Fq.example/">`},
		{`<a href="https://a.example{{ x }}">`, ".evil.example/@", `<a href="https://a.example.evil.example%2F%40">`},
		{`<a href='\{{ x }}'>`, "/evil.example", `<a href='\%2Fevil.example'>`},
		{`<a href="ja{{ no }}vascript:{{ x }}">`, "alert(1)", `<a href="javascript:#unsafe-url">`},
		{`<a href="mailto:{{ x }}">`, "a@b", `<a href="mailto:a%40b">`},
		{`<a href="/#{{ x }}">`, "a b", `<a href="/#a%20b">`},
		{`<a href="{{ x }}{{ x }}">`, "javascript:", `<a href="#unsafe-urljavascript%3A">`},
		{`<a href="{{#y}}/p/{{/y}}{{ x }}">`, "javascript:x", `<a href="#unsafe-url">`},
		{`<a href="/{{#y}}?q={{/y}}{{ x }}">`, "a/b", `<a href="/a%2Fb">`},
		{`<a href="{{#z}}{{ . }}/{{/z}}">`, "", `<a href="a/b/">`},
		{`<title>{{ x }}</title><p>{{ x }}`, "</title>", `<title>&lt;/title&gt;</title><p>&lt;/title&gt;`},
		{`<textarea><a href="{{ x }}">`, `"`, `<textarea><a href="&#34;">`},
		{`<script>if (a < b) { "</scripts>" }</script><p>{{ x }}`, "<", `<script>if (a < b) { "</scripts>" }</script><p>&lt;`},
		{`<script>var x = {{{ x }}}</script>{{ x }}`, "1", `<script>var x = 1</script>1`},
		{`<!-- <a href=" --><p>{{ x }}`, "<", `<!-- <a href=" --><p>&lt;`},
		{`<!--><p>{{ x }}`, "<", `<!--><p>&lt;`},
		{`<!doctype html><p>{{ x }}</p>`, "<", `<!doctype html><p>&lt;</p>`},
		{`<?xml a="?><p>{{ x }}</p>`, "<", `<?xml a="?><p>&lt;</p>`},
		{`a < b {{ x }} </> {{ x }}`, "<", `a < b &lt; </> &lt;`},
		{`<br/>{{ x }}<a b=c/d e>{{ x }}`, "<", `<br/>&lt;<a b=c/d e>&lt;`},
		{`<option{{#y}} selected{{/y}} value="{{ x }}">`, `"`, `<option value="&#34;">`},
		{`<input {{^y}}disabled{{/y}}>{{ x }}`, `"`, `<input disabled>&#34;`},
		{`<p class="a{{^y}} b{{/y}} {{ x }}">`, `"`, `<p class="a b &#34;">`},
		{`<a {{^y}}hidden{{/y}}>{{ x }}<input {{#z}} a{{/z}} value="{{ x }}">`, "<", `<a hidden>&lt;<input  a a value="&lt;">`},
		{`<p {{#z}}a{{/z}}>{{ x }}`, "<", `<p aa>&lt;`},
		{`<a href={{{ x }}}>{{ x }}`, "/a", `<a href=/a>/a`},
	} {
		v := newTextVM(t, vmtest.Limits())
		v.L.SetGlobal("text", glua.LString(c.text))
		v.L.SetGlobal("value", glua.LString(c.value))
		if got := v.eval(`return template.render(text, {x = value, z = {"a", "b"}, path = "/p/q", bare = "evil"})`); got != c.want {
			t.Errorf("%s of %q\ngives    %s\nexpected %s", c.text, c.value, got, c.want)
		}
	}
}

// TestTemplateIsBounded: what it renders is charged before it is there, and the work is
// counted; what it keeps is seen.
func TestTemplateIsBounded(t *testing.T) {
	t.Parallel()
	const doubling = `local t = template.compile(("{{#l}}"):rep(20) .. "x" .. ("{{/l}}"):rep(20)) return #t:render({l = {1, 2}}) `
	for code, want := range map[string]string{
		doubling: "used up", // a million times, each of them work
		`local t = template.compile(("{{ x }}"):rep(9000)) return #t:render({x = ("y"):rep(1e5)})`: "max_memory",
		`return #template.render(("x"):rep(2e5) .. ("{{! }}"):rep(1000), {})`:                      "200000",
	} {
		limits := vmtest.Limits()
		limits.Instructions = 5_000_000
		if got := newTextVM(t, limits).eval(code); !strings.Contains(got, want) {
			t.Errorf("%s: %.200s, want %s", code, got, want)
		}
	}
	v := newTextVM(t, vmtest.Limits())
	v.eval(`t = template.compile(("x"):rep(1e5) .. ("{{ x }}"):rep(1000))`)
	holder, ok := v.L.GetGlobal("t").(*glua.LUserData)
	if !ok {
		t.Fatal(v.L.GetGlobal("t"))
	}
	if s, ok := holder.Value.(vm.Sized); !ok || s.Size() < 250_000 {
		t.Errorf("%T, expected at least 250000 bytes", holder.Value)
	}
}

// FuzzTemplate: no text makes compiling panic or hang, and no value gets out of where it
// stands: not into a tag that the template doesn't have.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		"<a href='{{ x }}'>{{ x }}</a>", "{{#x}}a{{/x}}", "<title>{{x}}</title>", "<!-- --!>{{x}}", "{{> p}}{{! c }}", "<p a=\"{{{x}}}\">", "<{{x}}", "<scr{{!}}ipt>{{x}}",
	} {
		f.Add(text, "<script>alert(1)</script>")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		v := newTextVM(t, vmtest.Limits())
		v.L.SetGlobal("text", glua.LString(text))
		v.L.SetGlobal("value", glua.LString(value+"<q7z \"'>"))
		got := v.eval(`local ok, t = pcall(template.compile, text, {partials = {p = "<b c='{{ x }}'>{{ x }}"}})
			if not ok then return "" end
			local ok, out = pcall(t.render, t, {x = value})
			return ok and out or ""`)
		if strings.HasPrefix(got, "error: ") {
			t.Errorf("%q of %q: %s", text, value, got)
		}
		if !strings.Contains(text, "{{{") && !strings.Contains(text, "&") && !strings.Contains(text, "q7z") && strings.Contains(got, "<q7z") {
			t.Errorf("%q of %q gives %q", text, value, got)
		}
	})
}
