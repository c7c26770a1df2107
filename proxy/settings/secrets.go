package settings

import (
	"reflect"
	"regexp"
	"slices"
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
	d.doc.redactor.add(secrets)
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
	if p.isElement() {
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

// withheld stands for a text in a message about a value from a file, until redact
// has seen it.
const withheld = "\x00"

// redact makes a message that tells nothing of what files have given. own says
// that it is about a value that holds such a text: then nothing of it is kept that
// may tell the value, but for what was expected.
func (d *Document) redact(message string, own bool) string {
	shortest := shortSecret
	if own {
		shortest = 1
	}
	redacted := strings.NewReplacer(strconv.Quote(withheld), masked, withheld, masked).Replace(message)
	redacted = d.redactor.redact(redacted, shortest)
	if !own || redacted == message {
		return redacted
	}
	if i := strings.LastIndex(redacted, "expected "); i >= 0 {
		return "the value from a file is refused, " + redacted[i:]
	}
	return "the value from a file is refused"
}

// Redactor takes what files have given out of messages that are made when the
// Document is gone. The zero value takes nothing.
type Redactor struct {
	secrets []string
	lower   []string
}

// Redactor returns the document's.
func (d *Document) Redactor() Redactor { return d.redactor }

func (r *Redactor) add(secrets []string) {
	for _, secret := range secrets {
		for _, form := range []string{secret, strings.Trim(strconv.Quote(secret), `"`)} {
			if !slices.Contains(r.secrets, form) {
				r.secrets, r.lower = append(r.secrets, form), append(r.lower, strings.ToLower(form))
			}
		}
	}
}

// Redact returns the message with *** where it tells a secret, in whatever case.
func (r Redactor) Redact(message string) string { return r.redact(message, shortSecret) }

// redact looks for every secret in the message as it was: one may be a part of
// another, or overlap it, and what is left of that would be told.
func (r Redactor) redact(message string, shortest int) string {
	lower := strings.ToLower(message)
	var told [][]int // where secrets begin and end
	for i, secret := range r.secrets {
		if len(secret) < shortest || !strings.Contains(lower, r.lower[i]) {
			continue
		}
		same, err := regexp.Compile("(?i)" + regexp.QuoteMeta(secret))
		if err != nil {
			return masked
		}
		told = append(told, same.FindAllStringIndex(message, -1)...)
	}
	slices.SortFunc(told, slices.Compare)
	var out strings.Builder
	at := 0
	for i, span := range told {
		if i == 0 || span[0] >= at { // else it goes on with the one before
			out.WriteString(message[at:span[0]] + masked)
		}
		at = max(at, span[1])
	}
	return out.String() + message[at:]
}
