package settings

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// byName is a section of one key, a pointer to a section, whose name alone stands for
// the key with all its defaults: "hash" is {hash: {}}.
type byName interface {
	oneKey
	ByName()
}

func isByName(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[byName]())
}

// named decodes the name of a key into its section.
func (d *decoder) named(n ast.Node, v reflect.Value, p *place) {
	text, ok := d.expanded(n, v, p)
	if !ok {
		return
	}
	s := d.shape(v.Type())
	f := s.byKey[text]
	if f == nil {
		hint := ""
		if near := spelling.Nearest(text, s.keys); near != "" && !p.hidden() {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		d.fail(v, p, "expected one of %s, alone or with settings, got %s%s", strings.Join(s.keys, ", "), quote(text, p), hint)
		return
	}
	value := v.FieldByIndex(f.index)
	value.Set(fresh(value.Type()))
	d.doc.mark(value, p.at, true)
	d.doc.mark(value.Elem(), p.at, true)
}
