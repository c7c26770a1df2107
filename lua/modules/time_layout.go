package modules

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const timeHTTP = "Mon, 02 Jan 2006 15:04:05 GMT"

var (
	errTimeMismatch = errors.New("the text doesn't fit the layout")
	errTimeRange    = errors.New("no such time")
	errTimeLayout   = errors.New("the layout has an unknown directive")
)

// timeDirectives are the directives that time.Format knows.
var timeDirectives = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'b': "Jan", 'B': "January",
	'a': "Mon", 'A': "Monday", 'e': "_2", 'j': "002", 'p': "PM", 'I': "03", 'F': "2006-01-02", 'T': "15:04:05",
	'z': "-0700",
}

// timeLiterals are the directives that always stand for the same text.
var timeLiterals = map[byte]string{'Z': "UTC", 'n': "\n", 't': "\t", '%': "%"}

// formatTime formats a time in UTC; bad is a directive that is unknown.
func formatTime(t time.Time, layout string) (text, bad string) {
	switch layout {
	case "rfc3339":
		return t.Format(time.RFC3339), ""
	case "http":
		return t.Format(timeHTTP), ""
	}
	var b []byte
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			b = append(b, layout[i])
			continue
		}
		if i++; i == len(layout) {
			return "", "%"
		}
		c := layout[i]
		switch format, known := timeDirectives[c]; {
		case known:
			b = t.AppendFormat(b, format)
		case timeLiterals[c] != "":
			b = append(b, timeLiterals[c]...)
		case c == 's':
			b = strconv.AppendInt(b, t.Unix(), 10)
		case c == 'L':
			b = append(b, t.Format(".000")[1:]...)
		case c == 'f':
			b = append(b, t.Format(".000000")[1:]...)
		default:
			return "", strconv.QuoteToASCII("%" + string(rune(c)))
		}
	}
	return string(b), ""
}

// parseTime is the counterpart.
func parseTime(text, layout string) (time.Time, error) {
	var t time.Time
	var err error
	switch layout {
	case "rfc3339":
		t, err = time.Parse(time.RFC3339, text)
	case "http":
		for _, form := range []string{timeHTTP, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
			if t, err = time.Parse(form, text); err == nil {
				break
			}
		}
	default:
		return parseLayout(text, layout)
	}
	if err != nil {
		return t, errTimeMismatch
	}
	return t, nil
}

// timeFields is a time that is being parsed.
type timeFields struct {
	year, month, day, yearDay, hour, minute, second, nanosecond, offset int
	afternoon, twelve                                                   bool
	unix                                                                *int64
}

func parseLayout(text, layout string) (time.Time, error) {
	f := timeFields{year: 1970, month: 1, day: 1}
	// %F and %T are others together.
	layout = strings.NewReplacer("%%", "%%", "%F", "%Y-%m-%d", "%T", "%H:%M:%S").Replace(layout)
	for i := 0; i < len(layout); i++ {
		literal := layout[i : i+1]
		if literal == "%" {
			if i++; i == len(layout) {
				return time.Time{}, errTimeLayout
			}
			if literal = timeLiterals[layout[i]]; literal == "" {
				rest, err := f.directive(layout[i], text)
				if err != nil {
					return time.Time{}, err
				}
				text = rest
				continue
			}
		}
		rest, ok := strings.CutPrefix(text, literal)
		if !ok {
			return time.Time{}, errTimeMismatch
		}
		text = rest
	}
	if text != "" {
		return time.Time{}, errTimeMismatch
	}
	return f.time()
}

// directive reads what a directive stands for from the beginning of text.
func (f *timeFields) directive(c byte, text string) (string, error) {
	number := map[byte]struct {
		to          *int
		digits      int
		least, most int
	}{
		'Y': {&f.year, 4, 1, 9999}, 'm': {&f.month, 2, 1, 12}, 'd': {&f.day, 2, 1, 31}, 'H': {&f.hour, 2, 0, 23},
		'M': {&f.minute, 2, 0, 59}, 'S': {&f.second, 2, 0, 59}, 'y': {&f.year, 2, 0, 99}, 'j': {&f.yearDay, 3, 1, 366},
		'I': {&f.hour, 2, 1, 12}, 'L': {&f.nanosecond, 3, 0, 999}, 'f': {&f.nanosecond, 6, 0, 999999}, 'e': {&f.day, 2, 1, 31},
	}[c]
	if number.to == nil {
		return f.word(c, text)
	}
	if len(text) < number.digits {
		return "", errTimeMismatch
	}
	digits := text[:number.digits]
	if c == 'e' {
		digits = strings.TrimPrefix(digits, " ")
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return "", errTimeMismatch
	}
	value := int(n)
	if value < number.least || value > number.most {
		return "", errTimeRange
	}
	switch c {
	case 'y':
		// POSIX: 69 to 99 are in the twentieth century.
		if value += 1900; value < 1969 {
			value += 100
		}
	case 'L':
		value *= 1e6
	case 'f':
		value *= 1e3
	case 'I':
		f.twelve = true
	}
	*number.to = value
	return text[number.digits:], nil
}

// word reads the directives that aren't numbers of fixed length.
func (f *timeFields) word(c byte, text string) (string, error) {
	switch c {
	case 'b', 'B':
		for m := time.January; m <= time.December; m++ {
			if rest, ok := timeName(text, m.String(), c == 'b'); ok {
				f.month = int(m)
				return rest, nil
			}
		}
	case 'a', 'A':
		for d := time.Sunday; d <= time.Saturday; d++ {
			if rest, ok := timeName(text, d.String(), c == 'a'); ok {
				return rest, nil
			}
		}
	case 'p':
		if len(text) >= 2 && (strings.EqualFold(text[:2], "AM") || strings.EqualFold(text[:2], "PM")) {
			f.afternoon = text[0]|0x20 == 'p'
			return text[2:], nil
		}
	case 'z':
		return f.zone(text)
	case 's':
		n := 0
		for n < len(text) && n < 12 && (n == 0 && text[0] == '-' || '0' <= text[n] && text[n] <= '9') {
			n++
		}
		if seconds, err := strconv.ParseInt(text[:n], 10, 64); err == nil {
			f.unix = &seconds
			return text[n:], nil
		}
	default:
		return "", errTimeLayout
	}
	return "", errTimeMismatch
}

func timeName(text, name string, short bool) (string, bool) {
	if short {
		name = name[:3]
	}
	if len(text) < len(name) || !strings.EqualFold(text[:len(name)], name) {
		return "", false
	}
	return text[len(name):], true
}

// zone reads Z, +hhmm or +hh:mm.
func (f *timeFields) zone(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "Z"); ok {
		return rest, nil
	}
	for _, form := range []string{"-07:00", "-0700"} {
		if len(text) < len(form) {
			continue
		}
		if t, err := time.Parse(form, text[:len(form)]); err == nil {
			_, f.offset = t.Zone()
			return text[len(form):], nil
		}
	}
	return "", errTimeMismatch
}

// time puts the fields together.
func (f *timeFields) time() (time.Time, error) {
	if f.unix != nil {
		return time.Unix(*f.unix, int64(f.nanosecond)).UTC(), nil
	}
	if f.twelve {
		if f.hour %= 12; f.afternoon {
			f.hour += 12
		}
	}
	if f.yearDay > 0 {
		f.month, f.day = 1, f.yearDay
	}
	t := time.Date(f.year, time.Month(f.month), f.day, f.hour, f.minute, f.second, f.nanosecond, time.UTC)
	if f.yearDay == 0 && t.Day() != f.day || t.Year() != f.year {
		return t, errTimeRange
	}
	return t.Add(-time.Duration(f.offset) * time.Second), nil
}
