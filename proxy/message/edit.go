package message

// Unique reports whether the ID stands for one name: two fields with it are
// then the same one.
func (id ID) Unique() bool { return id != Unknown && id != ProxyAny && id != XForwardedAny }

// SameName compares two names of fields, ignoring ASCII case.
func SameName(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		d := b[i]
		if c == d {
			continue
		}
		if c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// is reports whether a field has that name, whose ID is id.
func (f *Field) is(id ID, name []byte) bool {
	return f.ID == id && (id.Unique() || SameName(f.Name, name))
}

// Value returns the value of the first field of that name, or nil. Dropped
// fields are not found.
func (h Header) Value(name []byte) []byte {
	id := Identify(name)
	for i := range h {
		if f := &h[i]; f.is(id, name) && !f.Dropped {
			return f.Value
		}
	}
	return nil
}

// Set replaces all fields of that name by one, in the place of the first. The
// header keeps name and value, which must be valid: nothing is checked.
func (h *Header) Set(name, value []byte) {
	id := Identify(name)
	for i := range *h {
		if f := &(*h)[i]; f.is(id, name) {
			*f = Field{Name: name, Value: value, ID: id}
			h.remove(i+1, id, name)
			return
		}
	}
	*h = append(*h, Field{Name: name, Value: value, ID: id})
}

// Add appends a field, as Set does; it is marked as Added.
func (h *Header) Add(name, value []byte) {
	*h = append(*h, Field{Name: name, Value: value, ID: Identify(name), Added: true})
}

// Remove removes all fields of that name.
func (h *Header) Remove(name []byte) { h.remove(0, Identify(name), name) }

func (h *Header) remove(from int, id ID, name []byte) {
	list := *h
	kept := from
	for i := from; i < len(list); i++ {
		if !list[i].is(id, name) {
			if kept != i {
				list[kept] = list[i]
			}
			kept++
		}
	}
	clear(list[kept:])
	*h = list[:kept]
}

// AppendField appends "name: value" and CRLF: the form of a field as text.
func AppendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// MayTrail reports whether the field is one that may be passed on in a trailer
// section (RFC 9110 §6.5.1): a receiver that merges others would change how the
// message is framed, routed or trusted.
func (f *Field) MayTrail() bool {
	return f.ID == Unknown && !f.Dropped && !isSensitive(f.Name)
}

func isSensitive(name []byte) bool {
	return EqualFold(name, "authorization") || EqualFold(name, "cookie") || EqualFold(name, "set-cookie") || EqualFold(name, "x-real-ip")
}
