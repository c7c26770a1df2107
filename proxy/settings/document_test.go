package settings_test

import (
	"fmt"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

const sample = `port: 1
tls:
  cert: a
tenants:
  - name: a
    domains: [a.example.com, b]
  - domains:
      - c
    weight: ~
limits: {wait: 1s}
level:
pools:
  x: {size: 1}
  y:
`

func TestDocumentPosition(t *testing.T) {
	c, doc := decode(sample)
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	unknown := 0
	tests := []struct {
		name         string
		field        any
		line, column int
		has          bool
	}{
		{"scalar", &c.Port, 1, 7, true},
		{"section is at its key", &c.TLS, 2, 1, true},
		{"section through its pointer", c.TLS, 2, 1, true},
		{"key of a section", &c.TLS.Cert, 3, 9, true},
		{"list is at its key", &c.Tenants, 4, 1, true},
		{"element", &c.Tenants[1], 7, 5, true},
		{"first field of an element, absent", &c.Tenants[1].Name, 7, 5, false},
		{"first field of an element", &c.Tenants[0].Name, 5, 11, true},
		{"flow list", &c.Tenants[0].Domains, 6, 14, true},
		{"element of a flow list", &c.Tenants[0].Domains[1], 6, 30, true},
		{"element of a block list", &c.Tenants[1].Domains[0], 8, 9, true},
		{"null", &c.Tenants[1].Weight, 9, 5, false},
		{"absent in an element", &c.Tenants[1].Match, 7, 5, false},
		{"absent in a flow section", &c.Limits.Tries, 10, 9, false},
		{"null at the top", &c.Level, 11, 1, false},
		{"absent at the top", &c.Address, 1, 1, false},
		{"element of a map", c.Pools["x"], 13, 6, true},
		{"key of an element of a map", &c.Pools["x"].Size, 13, 13, true},
		{"null element of a map", c.Pools["y"], 14, 3, false},
		{"key of a null element of a map", &c.Pools["y"].Size, 14, 3, false},
		{"not of the struct", &unknown, 1, 1, false},
		{"not a pointer", 7, 1, 1, false},
		{"not comparable", []int{1}, 1, 1, false},
		{"nil", nil, 1, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line, column := doc.Position(test.field)
			if line != test.line || column != test.column || doc.Has(test.field) != test.has {
				t.Errorf("got %d:%d %v, want %d:%d %v", line, column, doc.Has(test.field), test.line, test.column, test.has)
			}
		})
	}
}

func TestDocumentErrorf(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"sorted with what the decoder found", sample + "prt: 1\n",
			"f.yaml:6:30: expected a domain with a dot, got \"b\"\n" +
				"f.yaml:7:5: expected a name\n" +
				"f.yaml:8:9: expected a domain with a dot, got \"c\"\n" +
				"f.yaml:15:1: unknown key \"prt\"; did you mean \"port\"?"},
		{"empty file", "", "f.yaml:1:1: expected at least one tenant"},
		{"absent", "port: 1\n", "f.yaml:1:1: expected at least one tenant"},
		{"written but empty", "port: 1\ntenants: []\n", "f.yaml:2:10: expected at least one tenant"},
		{"silent after a failed field", "tenants: 1\n", "f.yaml:1:10: tenants: expected a list, got \"1\""},
		{"silent after a failed element", "tenants:\n- name: [a]\n  domains: [{}]\n",
			"f.yaml:2:9: tenants[0].name: expected a single value, got a list; write a\n" +
				"f.yaml:3:13: tenants[0].domains[0]: expected a single value, got a mapping; quote a text that has a colon"},
		{"silent after an unknown alias", "tenants: *x\n", "f.yaml:1:10: unknown alias *x: expected an anchor &x that ends above it, or quotes around a text that starts with *"},
		{"silent after a syntax error", "tenants: [\n", "f.yaml:1:10: cannot read this as YAML: the list that begins with [ doesn't end, expected a comma or ]"},
		{"silent after a document of another kind", "- 1\n",
			"f.yaml:1:1: expected a mapping with the keys address, port, level, levels, limits, tls, tenants, pools, ratio, token, pin, redis, …, got a list; leave out the \"- \" before its keys"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, doc := decode(test.src)
			check(c, doc)
			if got := errorsOf(doc); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestDocumentErrorfBehindAlias(t *testing.T) {
	c, doc := decode("tenants:\n- &a\n  name: a\n  domains: &d [b]\n- *a\n- {name: c, domains: *d}\n")
	check(c, doc)
	want := "f.yaml:4:16: expected a domain with a dot, got \"b\""
	if got := errorsOf(doc); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var r settings.Reporter = doc
	r.Errorf(&c.Tenants[2].Domains, "wrong")
	if line, column := doc.Position(&c.Tenants[2].Domains); line != 6 || column != 22 {
		t.Errorf("alias is at %d:%d", line, column)
	}
}

// TestSplit: what is about one element of a list at the top is told from the
// rest, however much of it there is, and in blocks that elements share.
func TestSplit(t *testing.T) {
	t.Parallel()
	type item struct {
		Name string `yaml:"name"`
		Size int    `yaml:"size"`
	}
	var into struct {
		Level int    `yaml:"level"`
		Items []item `yaml:"items"`
		Other []item `yaml:"other"`
	}
	flood := "{name: flood"
	for i := range 1500 {
		flood += fmt.Sprintf(", k%d: 1", i)
	}
	d := settings.Decode("f.yaml", []byte("level: x\nitems:\n  - "+flood+"}\n  - &bad {name: a, size: b}\n  - *bad\n  - {name: good}\n  - {<<: *bad, name: c}\n  - {name: twice, name: twice}\nother:\n  - {size: y}\n"), &into, nil)
	d.Within("items", 3).Errorf(&into.Items[3].Size, "own")
	d.Errorf(&into.Items[3].Size, "everybody's")
	own, rest := d.Split("items")
	counts := map[int]int{}
	for i, list := range own {
		counts[i] = len(list)
	}
	if want := "map[0:100 1:1 2:1 3:1 4:1 5:1]"; fmt.Sprint(counts) != want {
		t.Errorf("got %v, expected %s", counts, want)
	}
	if len(rest) != 3 || rest[0].Line != 1 || rest[1].Message != "everybody's" || rest[2].Line != 10 {
		t.Errorf("the rest is %v", rest)
	}
}
