package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// Named is a section with its policy's name, which is its key.
type Named struct {
	Name    string
	Section Section
}

// Kinds lists the policies that an element of a list may be: list is a struct, or
// a pointer to one, each field of which is a pointer to a section, and its key the
// policy's name.
func Kinds(list any) []Named {
	t := reflect.Indirect(reflect.ValueOf(list)).Type()
	kinds := make([]Named, 0, t.NumField())
	for _, f := range reflect.VisibleFields(t) {
		name := keyOf(f)
		if name == "" {
			continue
		}
		section, ok := reflect.New(f.Type.Elem()).Interface().(Section)
		if !ok {
			panic(fmt.Sprintf("BUG: field %s of %s is no policy.Section", f.Name, t))
		}
		kinds = append(kinds, Named{name, section})
	}
	return kinds
}

// Of lists the policies that an element of a list is: exactly one, if it has passed
// CheckOne.
func Of(element any) (list []Named) {
	v := reflect.Indirect(reflect.ValueOf(element))
	for _, f := range reflect.VisibleFields(v.Type()) {
		name := keyOf(f)
		if name == "" {
			continue
		}
		if value := v.FieldByIndex(f.Index); !value.IsNil() {
			list = append(list, Named{name, value.Interface().(Section)}) //nolint:forcetypeassert // Kinds has looked
		}
	}
	return list
}

func keyOf(f reflect.StructField) string {
	if f.Anonymous || f.Type.Kind() != reflect.Pointer {
		return ""
	}
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// placed says before each finding which tenant's policy it is about.
type placed struct {
	settings.Reporter
	at string
}

func (p placed) Errorf(field any, format string, args ...any) {
	p.Reporter.Errorf(field, "%s: "+format, append([]any{p.at}, args...)...)
}

// CheckOne reports what is wrong with an element of a list of policies, which r's
// document must have decoded, and with its sections. at says in messages where it
// stands, such as: tenant "shop", policies[0]
func CheckOne(element any, at string, r settings.Reporter) {
	list := Of(element)
	own := r
	r = placed{own, at}
	switch len(list) {
	case 0:
		r.Errorf(element, "a policy is missing, expected one of %s with its settings", strings.Join(names(Kinds(element)), ", "))
	case 1:
	default:
		r.Errorf(element, "%s are in one element of the list, expected each in its own, since they are asked in this order: begin each with \"- \"", strings.Join(names(list), " and "))
	}
	for i := range list {
		list[i].Section.Check(placed{own, at + "." + list[i].Name})
	}
}

// LoadOne has the sections of such an element read their files.
func LoadOne(element any, at string, read ReadFile, r settings.Reporter) {
	for _, named := range Of(element) {
		if l, ok := named.Section.(Loader); ok {
			l.Load(read, placed{r, at + "." + named.Name})
		}
	}
}

func names(list []Named) []string {
	words := make([]string, len(list))
	for i := range list {
		words[i] = list[i].Name
	}
	return words
}

// Sources returns the texts whose comments document the sections of a list.
func Sources(list any) settings.Sources {
	var sources settings.Sources
	for _, kind := range Kinds(list) {
		sources = append(sources, kind.Section.About().Source)
	}
	return sources
}

// Refusals lists all that the policies of a list refuse with, each code once.
func Refusals(list any) (all []*Refusal) {
	for _, kind := range Kinds(list) {
		for _, refusal := range kind.Section.About().Refusals {
			if !slices.ContainsFunc(all, func(r *Refusal) bool { return r.Code == refusal.Code }) {
				all = append(all, refusal)
			}
		}
	}
	return all
}
