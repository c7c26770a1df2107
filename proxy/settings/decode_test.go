package settings_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

func TestDecodeValues(t *testing.T) {
	tests := []struct {
		name, src string
		want      func(c *gateway)
	}{
		{"empty", "", func(*gateway) {}},
		{"comment only", "# nothing\n", func(*gateway) {}},
		{"null document", "~\n", func(*gateway) {}},
		{"byte order mark", "\ufeffport: 1\n", func(c *gateway) { c.Port = 1 }},
		{"marked document", "%YAML 1.2\n---\nport: 1\n...\n", func(c *gateway) { c.Port = 1 }},
		{"carriage returns", "port: 1\r\nlevel: debug\r\n", func(c *gateway) { c.Port, c.Level = 1, "debug" }},
		{"null leaves the default", "port:\nlevel: ~\nlimits: null\ntls:\n", func(*gateway) {}},
		{"number as text", "address: 8080\ntoken: 1.10\n", func(c *gateway) { c.Address, c.Token = "8080", "1.10" }},
		{"bool as text", "address: true\n", func(c *gateway) { c.Address = "true" }},
		{"quoted null is text", "address: 'null'\n", func(c *gateway) { c.Address = "null" }},
		{"quoted number", "port: \"81\"\n", func(c *gateway) { c.Port = 81 }},
		{"hexadecimal", "port: 0x10\n", func(c *gateway) { c.Port = 16 }},
		{"quoted bool", "verbose: 'true'\n", func(c *gateway) { c.Verbose = true }},
		{"float", "ratio: 2.5e-1\n", func(c *gateway) { c.Ratio = 0.25 }},
		{"inline", "verbose: true\n", func(c *gateway) { c.Verbose = true }},
		{"sections overlay", "limits:\n  wait: 1m30s\n", func(c *gateway) { c.Limits.Wait = settings.Duration(90 * time.Second) }},
		{"flow", "limits: {wait: 250ms, body: 64KiB}", func(c *gateway) {
			c.Limits.Wait, c.Limits.Body = settings.Duration(250*time.Millisecond), 65536
		}},
		{"pointer", "tls:\n  cert: a.pem\n", func(c *gateway) { c.TLS = &tls{Cert: "a.pem"} }},
		{"elements get defaults", "tenants:\n- name: a\n- name: b\n  weight: 3\n", func(c *gateway) {
			c.Tenants = []tenant{{Name: "a", Weight: 1}, {Name: "b", Weight: 3}}
		}},
		{"a text for a list", "tenants: [{name: a, scripts: b.lua}, {name: c, scripts: [d, e]}, {name: f, scripts: }]\n", func(c *gateway) {
			c.Tenants = []tenant{{Name: "a", Weight: 1, Scripts: []string{"b.lua"}}, {Name: "c", Weight: 1, Scripts: []string{"d", "e"}}, {Name: "f", Weight: 1}}
		}},
		{"maps overlay", "levels: {http: debug}\n", func(c *gateway) { c.Levels = map[string]string{"lua": "error", "http": "debug"} }},
		{"map elements get defaults", "pools:\n  a:\n  b: {size: 1}\n  c: {}\n", func(c *gateway) {
			c.Pools = map[string]*pool{"a": {Size: 7}, "b": {Size: 1}, "c": {Size: 7}}
		}},
		{"own text", "tenants: [{name: a, match: abc}]", func(c *gateway) {
			c.Tenants = []tenant{{Name: "a", Weight: 1, Match: "ABC"}}
		}},
		{"block text", "token: |\n  a\n  b\naddress: >-\n  c\n  d\n", func(c *gateway) { c.Token, c.Address = "a\nb\n", "c d" }},
		{"tags of the core", "port: !!int 5\naddress: !!str 6\n", func(c *gateway) { c.Port, c.Address = 5, "6" }},
		{"alias", "levels: &l {a: debug}\nsecrets: *l\n", func(c *gateway) {
			c.Levels = map[string]string{"lua": "error", "a": "debug"}
			c.Secrets = map[string]string{"a": "debug"}
		}},
		{"merge", "tenants:\n- &a\n  name: a\n  weight: 2\n- <<: *a\n  name: b\n", func(c *gateway) {
			c.Tenants = []tenant{{Name: "a", Weight: 2}, {Name: "b", Weight: 2}}
		}},
		{"merge of several", "tenants:\n- &a {name: a}\n- &b {name: b, weight: 2}\n- <<: [*a, *b]\n", func(c *gateway) {
			c.Tenants = []tenant{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "a", Weight: 2}}
		}},
		{"redefined anchor", "address: &x a\ntoken: *x\nredis: &x b\nlevel: debug\nsecrets: {k: *x}\n", func(c *gateway) {
			c.Address, c.Token, c.Redis, c.Level, c.Secrets = "a", "a", "b", "debug", map[string]string{"k": "b"}
		}},
		{"question mark key", "? port\n: 3\n", func(c *gateway) { c.Port = 3 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, doc := decode(test.src)
			if err := doc.Err(); err != nil {
				t.Fatal(err)
			}
			want := defaults()
			test.want(&want)
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("got %+v\nwant %+v", *got, want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"unknown key", "tenants:\n  - name: a\n    domans: []\n", `3:5: unknown key "domans" in tenants[0]; did you mean "domains"?`},
		{"unknown key at the top", "adress: x\n", `1:1: unknown key "adress"; did you mean "address"?`},
		{"unknown key, none near", "tls: {zzzzzz: 1}\n", `1:7: unknown key "zzzzzz" in tls; expected one of cert`},
		{"unknown keys of a map's section", "pools:\n  a: {sise: 1}\n", `2:7: unknown key "sise" in pools.a; did you mean "size"?`},
		{"duplicate key", "port: 1\nlevel: info\nport: 2\n", `3:1: duplicate key "port": expected it once, it is already on line 1`},
		{"duplicate key below", "tls:\n  cert: a\n  'cert': b\n", `3:3: duplicate key "cert" in tls: expected it once, it is already on line 2`},
		{"bad duration", "limits:\n  wait: 5 seconds\n", `2:9: limits.wait: expected a duration like 5s or a number of seconds, got "5 seconds"; write 5s`},
		{"negative duration", "limits: {wait: -1s}\n", `1:16: limits.wait: expected a duration of 0 or more, got "-1s"`},
		{"bad size", "limits: {body: 10 apples}\n", `1:16: limits.body: expected a size like 10MiB or a number of bytes, got "10 apples"`},
		{"negative size", "limits: {body: -1}\n", `1:16: limits.body: expected a size of 0 or more, got "-1"`},
		{"list for duration", "limits: {wait: []}\n", `1:16: limits.wait: expected a duration like 5s or a number of seconds, got a list`},
		{"bool", "verbose: yes\n", `1:10: verbose: expected true or false, got "yes"; write true`},
		{"bool spelling", "verbose: True\n", `1:10: verbose: expected true or false, got "True"; write true`},
		{"range", "port: 65536\n", `1:7: port: expected a whole number from 0 to 65535, got "65536"`},
		{"signed range", "limits: {tries: 128}\n", `1:17: limits.tries: expected a whole number from -128 to 127, got "128"`},
		{"fraction", "port: 1.5\n", `1:7: port: expected a whole number from 0 to 65535, got "1.5"`},
		{"leading zero", "port: 010\n", `1:7: port: expected a whole number from 0 to 65535, got "010"; write 10`},
		{"float", "ratio: .inf\n", `1:8: ratio: expected a number, got ".inf"`},
		{"enum", "level: inf\n", `1:8: level: expected one of debug, info, error, got "inf"; did you mean "info"?`},
		{"enum in a map", "levels: {a: loud}\n", `1:13: levels.a: expected one of debug, info, error, got "loud"`},
		{"scalar for list", "tenants:\n- name: a\n  domains: a.example.com\n", `3:12: tenants[0].domains: expected a list, got "a.example.com"; write [a.example.com]`},
		{"mapping for list", "tenants:\n  name: a\n", `1:1: tenants: expected a list, got a mapping; begin each element with "- "`},
		{"nothing in a list", "tenants:\n- name: a\n  domains:\n  -\n", `4:5: tenants[0].domains[0]: expected a single value, got nothing`},
		{"list for text", "address: [a]\n", `1:10: address: expected a single value, got a list; write a`},
		{"list for section", "limits:\n- 1\n", `1:1: limits: expected a mapping with the keys body, wait, tries, got a list; leave out the "- " before its keys`},
		{"scalar for map", "levels: 1\n", `1:9: levels: expected a mapping, got "1"`},
		{"own text", "tenants: [{match: no!}]", `1:19: tenants[0].match: expected a calm word`},
		{"secret stays secret", "pin: hunter2\n", `1:6: pin: expected a whole number, got another value`},
		{"another program's file", "server {\n  listen 80;\n}\n", `1:1: expected a mapping with the keys address, port, level, levels, limits, tls, tenants, pools, ratio, token, pin, redis, …, got "server { listen 80; }"; this looks like another program's file`},
		{"document of another kind", "hello\n", `1:1: expected a mapping with the keys address, port, level, levels, limits, tls, tenants, pools, ratio, token, pin, redis, …, got "hello"`},
		{"syntax", "port: 1\nlevel: [\n", `2:8: cannot read this as YAML: the list that begins with [ doesn't end, expected a comma or ]`},
		{"syntax, variable in flow", "tenants: [${HOST}]\n", `1:12: cannot read this as YAML: the list that begins with [ doesn't end, expected a comma or ]; quote a value that has ${…} inside [ ] or { }, or a colon and a space in its default`},
		{"tab", "tls:\n\tcert: a\n", `2:1: cannot read this as YAML: the line is indented with a tab, expected spaces`},
		{"second document", "port: 1\n---\nport: 2\n", `3:1: a second document begins here: expected one document in the file`},
		{"directive", "%TAG ! x\n---\nport: 1\n", `1:1: unknown directive: expected none, or %YAML`},
		{"not UTF-8", "port: 1\nlevel: é\xff\n", `2:9: byte 0xff is not UTF-8: expected a text file in UTF-8`},
		{"unknown alias", "port: *x\n", `1:7: unknown alias *x: expected an anchor &x that ends above it, or quotes around a text that starts with *`},
		{"alias of what contains it", "levels: &l\n  a: *l\n", `2:6: unknown alias *l: expected an anchor &l that ends above it, or quotes around a text that starts with *`},
		{"unknown tag", "port: !port 1\n", `1:7: unknown tag !port: expected a value without a tag`},
		{"merge of a scalar", "tls:\n  <<: a\n", `2:7: cannot merge this with <<: expected an alias of a mapping, or a list of them`},
		{"error behind an alias is told once", "tenants:\n- &a {name: a, weight: x}\n- *a\n- <<: *a\n",
			"2:24: tenants[0].weight: expected a whole number, got \"x\"\n" +
				"2:24: tenants[1].weight: expected a whole number, got \"x\"\n" +
				"2:24: tenants[2].weight: expected a whole number, got \"x\""},
		{"address in flow", "{tls: {hosts: [::1]}}\n", `1:16: cannot read this as YAML: the key is not a plain word, expected one; quote an address that begins with a colon: ["::1"]`},
		{"complex key", "? [a]\n: 1\n", `2:1: cannot read this as YAML: the key is not a plain word, expected one`},
		{"alias of a mapping as key", "levels: &l {a: debug}\n*l : 1\n", `2:1: expected a plain word as a key`},
		{"null key", "~: 1\n", `1:1: unknown key "null"; expected one of address, port, level, levels, limits, tls, tenants, pools, ratio, token, pin, redis, …`},
		{"all at once, in order", "verbose: 1\nport: x\nfoo: 1\nlimits: {wait: y}\n",
			"1:10: verbose: expected true or false, got \"1\"; write true\n" +
				"2:7: port: expected a whole number from 0 to 65535, got \"x\"\n" +
				"3:1: unknown key \"foo\"; expected one of address, port, level, levels, limits, tls, tenants, pools, ratio, token, pin, redis, …\n" +
				"4:16: limits.wait: expected a duration like 5s or a number of seconds, got \"y\""},
		{"long value", "port: " + strings.Repeat("a", 200), `1:7: port: expected a whole number from 0 to 65535, got "` + strings.Repeat("a", 80) + `…"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, doc := decode(test.src)
			want := "f.yaml:" + strings.ReplaceAll(test.want, "\n", "\nf.yaml:")
			if got := errorsOf(doc); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestDecodeKeepsWhatItCannotRead(t *testing.T) {
	got, _ := decode("port: x\nlimits: {wait: y, tries: 3}\nlevel: loud\n")
	want := defaults()
	want.Limits.Tries = 3
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v\nwant %+v", *got, want)
	}
}

func TestDecodeVariables(t *testing.T) {
	tests := []struct {
		name, src, want string // want is the address, or an error
	}{
		{"whole", "address: ${HOST}", "example.com"},
		{"part", "address: http://${HOST}:${PORT}/", "http://example.com:9000/"},
		{"quoted", "address: '${HOST}'", "example.com"},
		{"block", "address: |-\n  ${HOST}", "example.com"},
		{"default used", "address: ${NONE:-a:b}", "a:b"},
		{"default for empty", "address: ${EMPTY:-a}", "a"},
		{"empty default", "address: ${NONE:-}", ""},
		{"default not used", "address: ${HOST:-a}", "example.com"},
		{"set but empty", "address: ${EMPTY}", ""},
		{"literal", "address: $${HOST}", "${HOST}"},
		{"literal and variable", "address: $${HOST}${PORT}", "${HOST}9000"},
		{"lone dollars", "address: a$b$$c$", "a$b$$c$"},
		{"no structure from outside", "address: ${INJECT}", "x\nport: 1"},
		{"no second round", "address: ${NESTED}", "${HOST}"},
		{"null is a word", "address: ${NULL}", "null"},
		{"keys stay", "${HOST}: 1", "f.yaml:1:1: unknown key \"${HOST}\"; expected one of address, port, level, levels, limits, tls, tenants, pools, ratio, token, pin, redis, …"},
		{"unset", "port: 1\naddress: a${NONE}", "f.yaml:2:10: address: environment variable NONE is not set: expected a value, or a default as in ${NONE:-default}"},
		{"unfinished", "address: a${HOST", "f.yaml:1:10: address: unfinished ${: expected ${NAME}, ${NAME:-default} or ${file:PATH}; write $${ for a literal ${"},
		{"bad name", "address: ${1A}", "f.yaml:1:10: address: bad variable \"${1A\": expected ${NAME} or ${NAME:-default}, with a name of letters, digits and _, or ${file:PATH}; write $${ for a literal ${"},
		{"other operator", "address: ${HOST-x}", "f.yaml:1:10: address: bad variable \"${HOST-x\": expected ${NAME} or ${NAME:-default}, with a name of letters, digits and _, or ${file:PATH}; write $${ for a literal ${"},
		{"wrong kind", "port: ${HOST}", "f.yaml:1:7: port: expected a whole number from 0 to 65535, got \"example.com\""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, doc := decode(test.src)
			got := errorsOf(doc)
			if got == "" {
				got = c.Address
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
	c, doc := decode("port: ${PORT}\nverbose: ${YES}\nlimits: {wait: '${WAIT}', tries: '${NONE:-3}'}\n")
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Port != 9000 || !c.Verbose || c.Limits.Wait.Std() != 2*time.Second || c.Limits.Tries != 3 {
		t.Errorf("typed variables: got %+v", c)
	}
}

func TestDecodeWithoutEnvironment(t *testing.T) {
	c := defaults()
	doc := settings.Decode("f.yaml", []byte("address: ${HOST:-a}\ntoken: ${HOST}"), &c, nil)
	if c.Address != "a" || !strings.Contains(errorsOf(doc), "HOST is not set") {
		t.Errorf("got %q, %v", c.Address, doc.Err())
	}
}

func TestDecodeTakesALargeFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("tenants:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "- name: t%d\n  domains: [a%d.example.com, 'b%d.example.com']\n  weight:\n", i, i, i)
		if i%2 == 0 {
			b.WriteString("  match: x\n")
		}
	}
	c, doc := decode(b.String())
	if doc.Err() != nil || len(c.Tenants) != 10_000 {
		t.Fatalf("%d tenants, %.300v", len(c.Tenants), doc.Err())
	}
	if line, column := doc.Position(&c.Tenants[9999].Domains[1]); line != 1+3*9999+5000+2 || column == 0 {
		t.Errorf("last domain is at %d:%d", line, column)
	}
}

func TestErrorsAsError(t *testing.T) {
	_, doc := decode("port: x\n")
	var all settings.Errors
	var one settings.Error
	if err := doc.Err(); !errors.As(err, &all) || !errors.As(err, &one) || one.Line != 1 || one.Column != 7 {
		t.Errorf("got %#v", doc.Err())
	}
	if got := (settings.Error{File: "f", Message: "m"}).Error(); got != "f: m" {
		t.Errorf("without a line: %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, src := range []string{
		"", "port: 1\n", "tenants:\n- &a {name: a}\n- <<: [*a]\n  name: ${HOST:-x}\n", "? a\n: b\n", "a: |\n  x\n",
		"limits: !!map {wait: '5s'}\n", "%YAML 1.2\n---\n", "- - - a\n", "a: &x [*x]\n", "{a: b, ? c : d}", "\"\\x41\": >-\n", "--- !t\n&a b: *a\n",
		"pools: {a: , b: {size: ~}}\n", "a:\n- b\n c: d\n", "<<: *a\n", "a: !!\n", "&a\n", "!!str", "*", "&", "a: *",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c := defaults()
		doc := settings.Decode("f.yaml", src, &c, environment)
		check(&c, doc)
		var all settings.Errors
		if errors.As(doc.Err(), &all) {
			for _, e := range all {
				if e.Line < 0 || e.Message == "" {
					t.Errorf("bad error %+v", e)
				}
			}
		}
	})
}
