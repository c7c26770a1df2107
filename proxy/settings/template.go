package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// Part is a part of a value: a text, or the name of a variable whose value is
// known only when the value is used.
type Part struct{ Text, Variable string }

// Template is a value with such variables. Its type names them, and they take
// precedence over the environment's of the same names; whatever else ${…} stands
// for has been replaced, and isn't looked at again: no value can bring a variable
// with it. A template is read by UnmarshalTemplate, whose error says what was
// expected and nothing of the value, which may be a secret; its UnmarshalText isn't
// called.
type Template interface {
	encoding.TextUnmarshaler
	LaterVariables() []string
	UnmarshalTemplate(parts []Part) error
}

// Written returns parts as they would be written in a file.
func Written(parts []Part) string {
	var out strings.Builder
	for _, p := range parts {
		if p.Variable != "" {
			out.WriteString("${" + p.Variable + "}")
		} else {
			out.WriteString(strings.ReplaceAll(p.Text, "${", "$${"))
		}
	}
	return out.String()
}

// template replaces the variables of a template that are known, and reads the
// parts into it.
func (d *decoder) template(raw string, t Template, v reflect.Value, p *place) bool {
	parts, secrets, err := expandTo(raw, d.vars, t.LaterVariables())
	if err != nil {
		d.fail(v, p, "%s", err)
		return false
	}
	if len(secrets) > 0 {
		d.hide(v, p, secrets)
	}
	if err := t.UnmarshalTemplate(parts); err != nil {
		d.fail(v, p, "%s", d.doc.redact(err.Error(), p.hidden()))
		return false
	}
	return true
}

// ofLater words the error of a variable that isn't the environment's, and finds the
// one of a variable that is known later and has a default.
func ofLater(inner string, later []string, err error) error {
	if len(later) == 0 {
		return err
	}
	name, _, hasDefault := strings.Cut(inner, ":-")
	for _, known := range later {
		if name == known && hasDefault {
			return fmt.Errorf("${%s} takes no default, expected ${%s}", clip(inner), known)
		}
	}
	if err == nil {
		return nil
	}
	if near := spelling.Nearest(strings.ToLower(name), later); near != "" {
		return fmt.Errorf("unknown variable %q: the environment has none of this name; did you mean ${%s}?", clip("${"+inner+"}"), near)
	}
	return fmt.Errorf("%w; what is known of each request: ${%s}", err, strings.Join(later, "}, ${"))
}
