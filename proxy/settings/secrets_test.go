package settings_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// vault is a configuration with secrets noted in two places.
type vault struct {
	gateway `yaml:",inline"`
	Inner   inner            `yaml:"inner"`
	Secrets settings.Secrets `yaml:"-"`
}

type inner struct {
	Name    string           `yaml:"name"`
	Limits  limits           `yaml:"limits"`
	Outer   []limits         `yaml:"outer"`
	Secrets settings.Secrets `yaml:"-"`
}

const told = "tell-nobody"

func decodeVault(src string, files map[string]string) (*vault, *settings.Document) {
	c := &vault{gateway: defaults()}
	return c, settings.DecodeWith("f.yaml", []byte(src), c, settings.Variables{Env: environment, File: func(path string) ([]byte, error) {
		content, ok := files[path]
		if !ok {
			return nil, errors.New("there is no such file")
		}
		return []byte(content), nil
	}})
}

func TestFiles(t *testing.T) {
	files := map[string]string{"a": "one\n", "dir/b": "two\r\n", "c": "three\n\n", "h/x": "four", "number": "9000\n"}
	for src, want := range map[string]string{
		"address: ${file:a}":                        "one",
		"address: <${file:a}-${file:dir/b}>":        "<one-two>",
		"address: ${file:c}":                        "three\n",
		"address: $${file:a}":                       "${file:a}",
		"address: '${file:${FILE}/x}'":              "four",
		"address: '${file:${MISSING:-dir}/b}x'":     "twox",
		"address: ${file:-default}":                 "default", // a variable of the name file
		"port: ${file:number}":                      "",
		"address: &a ${file:a}\nlevels: {x: error}": "one",
	} {
		src = strings.ReplaceAll(src, "${FILE}", "${MISSING:-h}")
		c, doc := decodeVault(src, files)
		if err := doc.Err(); err != nil || c.Address != want && want != "" || want == "" && c.Port != 9000 {
			t.Errorf("%s: got %q, %d, %v; expected %q", src, c.Address, c.Port, err, want)
		}
	}
}

// TestInherit gives values key by key, with what is secret about them and with
// where they were written.
func TestInherit(t *testing.T) {
	c, doc := decodeVault("limits: {body: '${file:size}', wait: 1ms}\ninner:\n  name: x\n  limits: {tries: 7}\n", map[string]string{"size": "77MiB"})
	doc.Inherit(settings.Section{Value: &c.Inner.Limits, Secrets: &c.Inner.Secrets, Path: "limits"}, settings.Section{Value: &c.Limits, Secrets: &c.Secrets, Path: "limits"})
	if got := c.Inner.Limits; got.Body != 77<<20 || got.Tries != 7 || got.Wait != c.Limits.Wait {
		t.Errorf("got %+v", got)
	}
	text, err := json.Marshal(settings.Effective(c))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "77MiB") || strings.Count(string(text), `"body":"***"`) != 2 {
		t.Errorf("an inherited secret is shown: %s", text)
	}
	doc.Errorf(&c.Limits.Wait, "too short")
	doc.Errorf(&c.Inner.Limits.Wait, "too short")
	if got := doc.Err().Error(); got != "f.yaml:1:38: too short" {
		t.Errorf("got %q, expected one error, where the value is written", got)
	}
}

// FuzzSecrets looks for what files have given in messages and in what is shown.
func FuzzSecrets(f *testing.F) {
	for _, src := range []string{
		"token: ${file:x}\n", "port: ${file:x}\n", "level: ${file:x}\n", "limits: {wait: '${file:x}'}\n", "inner: {name: '${file:x}', limits: {body: a${file:x}}}\n",
		"inner: {outer: [{tries: '${file:x}'}]}\n", "levels: {a: '<${file:x}>'}\n", "tenants: [{name: '${file:x}', domains: ['${file:x}']}]\n",
		"tenants: [&a {name: '${file:x}'}, {<<: *a}, *a]\n", "address: [${file:x}]\n", "pools: {a: {size: '${file:x}'}}\n", "redis: redis://a:${file:x}@b\n",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if strings.Contains(src, "tell") || strings.Contains(src, "\\") {
			return
		}
		c, doc := decodeVault(src, map[string]string{"x": told + "\n"})
		doc.Errorf(&c.Address, "address %q is wrong, expected another one", c.Address)
		doc.Errorf(&c.Inner.Name, "name %q", c.Inner.Name)
		doc.Errorf(&c.Inner, "the section of %q", c.Inner.Name)
		doc.Inherit(settings.Section{Value: &c.Inner.Limits, Secrets: &c.Inner.Secrets, Path: "limits"}, settings.Section{Value: &c.Limits, Secrets: &c.Secrets, Path: "limits"})
		copied := *c // as a snapshot has it
		text, err := json.Marshal(settings.Effective(copied))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), told) {
			t.Errorf("%q: shown: %s", src, text)
		}
		if doc.Err() != nil && strings.Contains(doc.Err().Error(), told) {
			t.Errorf("%q: told: %v", src, doc.Err())
		}
	})
}
