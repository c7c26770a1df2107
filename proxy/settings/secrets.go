package settings

import (
	"reflect"
	"strconv"
	"strings"
)

// Secrets are the keys below a section whose values have come from files, such
// as "services[0].url". A struct with a field of this type, which needs no tag,
// has Decode note them there, so that a copy of the struct still knows what
// Effective must mask. Structs within it note theirs with the outer one unless
// they have such a field themselves.
type Secrets map[string]bool

// secretsIn returns the index of a struct's field of type Secrets, or -1.
func secretsIn(t reflect.Type) int {
	for i := range t.NumField() {
		if f := t.Field(i); f.Type == reflect.TypeFor[Secrets]() && f.IsExported() {
			return i
		}
	}
	return -1
}

// hide notes that the value of v, at p, holds what files have given.
func (d *decoder) hide(v reflect.Value, p *place, secrets []string) {
	pointer := v.Addr().Interface()
	m := d.doc.marks[pointer]
	m.secret = true
	d.doc.marks[pointer] = m
	d.doc.secrets = append(d.doc.secrets, secrets...)
	p.secret = true
	for q := p; q != nil; q = q.parent {
		if q.secrets != nil {
			if *q.secrets == nil {
				*q.secrets = Secrets{}
			}
			(*q.secrets)[p.below(q)] = true
			return
		}
	}
}

// below returns the way from an outer place, as Effective writes it.
func (p *place) below(outer *place) string {
	if p == outer || p.parent == nil {
		return ""
	}
	if p.key == "" {
		return elementPath(p.parent.below(outer), p.index)
	}
	return keyPath(p.parent.below(outer), p.key)
}

func keyPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func elementPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// shortSecret is the length of a text that is taken for a secret wherever it
// stands in a message; a shorter one would be found in words and numbers.
const shortSecret = 4

// redact takes what files have given out of a message. own says that it is about
// a value that holds such a text: then nothing of the message is kept that may
// tell it, but for what was expected.
func (d *Document) redact(message string, own bool) string {
	found := false
	for _, secret := range d.secrets {
		if len(secret) < shortSecret && !own {
			continue
		}
		for _, form := range []string{secret, strings.Trim(strconv.Quote(secret), `"`)} {
			if strings.Contains(message, form) {
				message, found = strings.ReplaceAll(message, form, masked), true
			}
		}
	}
	if !own || !found {
		return message
	}
	if i := strings.LastIndex(message, "expected "); i >= 0 {
		return "the value from a file is refused, " + message[i:]
	}
	return "the value from a file is refused"
}
