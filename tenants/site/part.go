package site

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Part is what a request gets of a file: Length bytes from From of it where Status is 200
// or 206, else nothing.
type Part struct {
	Status       int
	From, Length int64
}

// Judge says what a request for a file gets by its conditions and its range, in the order
// of RFC 9110 §13.2.2. HEAD has no range (§14.2).
func (f *File) Judge(h message.Header, head bool) Part {
	size := f.Size()
	whole := Part{200, 0, size}
	switch tags := values(h, "if-match"); {
	case tags != nil:
		if !matches(tags, f.ETag, true) {
			return Part{Status: 412}
		}
	default:
		if since, ok := timeOf(h, "if-unmodified-since"); ok && f.Modified.After(since) {
			return Part{Status: 412}
		}
	}
	switch tags := values(h, "if-none-match"); {
	case tags != nil:
		if matches(tags, f.ETag, false) {
			return Part{Status: 304}
		}
	default:
		if since, ok := timeOf(h, "if-modified-since"); ok && !f.Modified.After(since) {
			return Part{Status: 304}
		}
	}
	ranges := values(h, "range")
	if len(ranges) != 1 || head || !f.ifRange(h) {
		return whole
	}
	switch from, length, kind := rangeOf(ranges[0], size); kind {
	case inside:
		return Part{206, from, length}
	case outside:
		return Part{Status: 416}
	}
	return whole
}

// ifRange reports whether a range may be served: whether the client has the rest of this
// very file.
func (f *File) ifRange(h message.Header) bool {
	conditions := values(h, "if-range")
	if conditions == nil {
		return true
	}
	value := conditions[0]
	if len(conditions) > 1 || len(value) == 0 {
		return false
	}
	if value[0] == '"' {
		return string(value) == f.ETag
	}
	since, err := http.ParseTime(string(value))
	// A second must have passed since the change for its date to be a strong validator
	// (RFC 9110 §8.8.2.2).
	return err == nil && f.Modified.Equal(since) && time.Since(f.Modified) > 2*time.Second
}

// values are those of all fields of a name; nil is that there is none.
func values(h message.Header, name string) (list [][]byte) {
	for i := range h {
		if !h[i].Dropped && message.EqualFold(h[i].Name, name) {
			list = append(list, message.Trim(h[i].Value))
		}
	}
	return list
}

// timeOf reads the date of a field; what is none, or stands there several times, is left
// out of account.
func timeOf(h message.Header, name string) (time.Time, bool) {
	list := values(h, name)
	if len(list) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(string(list[0]))
	return t, err == nil
}

// matches reports whether a tag is among those listed, or "*" is; strong ones only, where
// that is asked for (RFC 9110 §8.8.3.2). What isn't an entity tag ends its list.
func matches(lists [][]byte, tag string, strong bool) bool {
	for _, list := range lists {
		if string(list) == "*" {
			return true
		}
		for len(list) > 0 {
			list = bytes.TrimLeft(list, " \t,")
			weak := bytes.HasPrefix(list, []byte("W/"))
			if weak {
				list = list[2:]
			}
			if len(list) == 0 || list[0] != '"' {
				break
			}
			end := bytes.IndexByte(list[1:], '"')
			if end < 0 {
				break
			}
			if string(list[:end+2]) == tag && (!weak || !strong) {
				return true
			}
			list = list[end+2:]
		}
	}
	return false
}

// What a range is to a file.
const (
	none    = iota // it is served as a whole
	inside         // satisfiable
	outside        // not satisfiable
)

// rangeOf reads a range of bytes. Several ranges, other units and what can't be read are
// as none (RFC 9110 §14.2).
func rangeOf(value []byte, size int64) (from, length int64, kind int) {
	unit, set, _ := bytes.Cut(value, []byte("="))
	if !message.EqualFold(bytes.TrimSpace(unit), "bytes") || bytes.IndexByte(set, ',') >= 0 {
		return 0, 0, none
	}
	first, last, ok := bytes.Cut(bytes.TrimSpace(set), []byte("-"))
	if !ok {
		return 0, 0, none
	}
	if len(first) == 0 { // the last so many
		n, ok := number(last)
		switch {
		case !ok:
			return 0, 0, none
		case n == 0 || size == 0:
			return 0, 0, outside
		}
		n = min(n, size)
		return size - n, n, inside
	}
	from, ok = number(first)
	to := size - 1
	if ok && len(last) > 0 {
		if to, ok = number(last); ok && to < from {
			return 0, 0, none
		}
		to = min(to, size-1)
	}
	switch {
	case !ok:
		return 0, 0, none
	case from >= size:
		return 0, 0, outside
	}
	return from, to - from + 1, inside
}

// number reads decimal digits; what is larger than any file is as large as that.
func number(text []byte) (n int64, ok bool) {
	if len(text) == 0 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	if len(text) > 18 {
		return 1 << 62, true
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil
}
