package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// Hinter may be implemented by the struct at the root of a document. Hint says
// what to write instead of a key that isn't known, in the section with that
// path ("", "tenants[]", "tenants[].services[]"); "" where there is nothing to
// say. The key is in lower case, with underscores between its words.
type Hinter interface {
	Hint(key, section string) string
}

// unknownKey reports a key, with what was probably meant: what its section or
// the root knows of it, a key that is spelled much like it, or the section that
// it belongs to.
func (d *decoder) unknownKey(e entry, keys []string, v reflect.Value, p *place) {
	where, path := "", p.String()
	if path != "" {
		where = " in " + path
	}
	var says, instead string
	if section, ok := v.Addr().Interface().(foreigner); ok {
		instead = section.Foreign(e.key)
	}
	if _, one := v.Addr().Interface().(oneKey); one {
		d.doc.markFailed(v) // that its key is missing is no news
	}
	d.blame(p)
	if len(d.doc.unknown) < maxUnknown {
		d.doc.unknown = append(d.doc.unknown, Unknown{Key: e.key, Section: path, Line: e.keyAt.line, Column: e.keyAt.column, Instead: instead})
	}
	if instead != "" {
		says = "it is a key of the earlier Keystone Gateway: " + instead + "; " + Migrate + " makes a file of this one of it, and says what is left to do"
	} else {
		says = d.hint(e.key, keys, p)
	}
	d.doc.report(p.within(), Error{
		File: d.doc.file, Line: e.keyAt.line, Column: e.keyAt.column, Migrates: instead != "",
		Message: fmt.Sprintf("unknown key %q%s; %s", clip(e.key), where, says),
	})
}

// blame has the sections around a mistake, below the element that may have one key
// alone, not reported for what they lack: it is the consequence.
func (d *decoder) blame(p *place) {
	var sections []reflect.Value
	for q := p; q != nil; q = q.parent {
		if !q.section.IsValid() {
			continue
		}
		if _, one := q.section.Addr().Interface().(oneKey); one {
			for _, section := range sections {
				d.doc.markFailed(section)
			}
			return
		}
		sections = append(sections, q.section)
	}
}

const (
	// maxUnknown bounds what Document.Unknown returns.
	maxUnknown = 10_000
	// maxKey bounds the keys that are compared with others.
	maxKey = 64
)

func (d *decoder) hint(key string, keys []string, p *place) string {
	section := p.pattern()
	if len(key) > maxKey {
		return "expected one of " + listed(keys)
	}
	if near := spelling.Nearest(key, keys); near != "" && foldedEqual(near, key) { // only case and hyphens differ
		return fmt.Sprintf("did you mean %q?", near)
	}
	if hinter, ok := d.doc.root.(Hinter); ok {
		if words := hinter.Hint(snake(key), section); words != "" {
			return words
		}
	}
	near := spelling.Nearest(key, keys)
	homes := d.homesOf(key, section)
	switch {
	case near != "" && homes != "":
		return fmt.Sprintf("did you mean %q? %q belongs in %s", near, clip(key), homes)
	case near != "":
		return fmt.Sprintf("did you mean %q?", near)
	case homes != "":
		return fmt.Sprintf("it belongs in %s", homes)
	}
	if other := spelling.Nearest(key, d.allKeys()); other != "" && len(key) > 4 {
		return fmt.Sprintf("did you mean %q, which belongs in %s?", other, d.homesOf(other, section))
	}
	return "expected one of " + listed(keys)
}

// allKeys are the keys of all sections.
func (d *decoder) allKeys() []string {
	d.survey()
	keys := make([]string, 0, len(d.homes))
	for key := range d.homes {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// homesOf names the sections that have a key, those nearest to section first:
// "tenants[].timeouts", or "" where none has it.
func (d *decoder) homesOf(key, section string) string {
	d.survey()
	homes := slices.Clone(d.homes[foldKey(key)])
	slices.SortStableFunc(homes, func(a, b string) int { return shared(b, section) - shared(a, section) })
	const most = 3
	more := ""
	if len(homes) > most {
		homes, more = homes[:most], ", …"
	}
	for i := range homes {
		if homes[i] == "" {
			homes[i] = "the top level of the file"
		}
	}
	return strings.Join(homes, ", or ") + more
}

// shared is how much of the beginning two paths have in common.
func shared(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// survey finds out once which sections there are, and which keys they have.
func (d *decoder) survey() {
	if d.homes == nil {
		d.homes = map[string][]string{}
		d.surveyType(reflect.TypeOf(d.doc.root).Elem(), "", 0)
	}
}

func (d *decoder) surveyType(t reflect.Type, path string, depth int) {
	suffix := ""
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
			continue
		case textual(t):
			return
		case t.Kind() == reflect.Slice:
			t, suffix = t.Elem(), suffix+"[]"
			continue
		case t.Kind() == reflect.Map:
			t, suffix = t.Elem(), suffix+".{name}"
			continue
		}
		break
	}
	if t.Kind() != reflect.Struct || depth > 10 {
		return
	}
	path += suffix
	for _, f := range d.shape(t).fields {
		key := foldKey(f.key)
		if !slices.Contains(d.homes[key], path) {
			d.homes[key] = append(d.homes[key], path)
		}
		d.surveyType(t.FieldByIndex(f.index).Type, strings.TrimPrefix(path+"."+f.key, "."), depth+1)
	}
}

// pattern is the path of a section without the numbers of elements.
func (p *place) pattern() string {
	if p.parent == nil {
		return ""
	}
	if p.isElement() {
		return p.parent.pattern() + "[]"
	}
	return strings.TrimPrefix(p.parent.pattern()+"."+clip(p.key), ".")
}

func foldKey(key string) string { return strings.ReplaceAll(strings.ToLower(key), "-", "_") }

func foldedEqual(a, b string) bool { return foldKey(a) == foldKey(b) }

// snake writes camelCase and hyphens with underscores.
func snake(key string) string {
	var out strings.Builder
	for i, r := range key {
		if 'A' <= r && r <= 'Z' {
			if i > 0 && 'a' <= key[i-1] && key[i-1] <= 'z' {
				out.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		if r == '-' || r == ' ' {
			r = '_'
		}
		out.WriteRune(r)
	}
	return out.String()
}
