package proxy

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// logLine is one line of the access log under construction. Appending constant
// names and plain bytes takes a third of the time of a general encoder, which looks
// at every byte of every name.
type logLine struct{ buf []byte }

// date is the text of a day.
type date struct {
	day  int64 // since 1970
	text [len("2006-01-02T")]byte
}

const dayLength = int64(24 * time.Hour)

// dateOf returns the date of a time, in nanoseconds since 1970.
func dateOf(at int64) (d date) {
	d.day = at / dayLength
	time.Unix(0, at).UTC().AppendFormat(d.text[:0], "2006-01-02T")
	return d
}

// begin starts a line with its time, in nanoseconds since 1970. today is the date
// that it probably has.
func (l *logLine) begin(at int64, today *date) {
	if at/dayLength != today.day {
		other := dateOf(at)
		today = &other
	}
	l.buf = append(append(l.buf[:0], `{"time":"`...), today.text[:]...)
	milli := at % dayLength / 1e6
	second := milli / 1000
	hour, minute := second/3600, second/60%60
	second, milli = second%60, milli%1000
	l.buf = append(l.buf, byte('0'+hour/10), byte('0'+hour%10), ':', byte('0'+minute/10), byte('0'+minute%10), ':',
		byte('0'+second/10), byte('0'+second%10), '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z', '"')
}

// end completes the line.
func (l *logLine) end() []byte {
	l.buf = append(l.buf, '}', '\n')
	return l.buf
}

// The functions below append a member. Its name comes as `,"name":`, and for
// text as `,"name":"`. They aren't inlined: a line calls them a dozen times, and
// what that adds to the code of a request costs more in the processor's cache.

//go:noinline
func (l *logLine) text(name, value string) {
	l.buf = append(appendEscaped(append(l.buf, name...), value), '"')
}

//go:noinline
func (l *logLine) bytes(name string, value []byte) {
	l.buf = append(appendEscaped(append(l.buf, name...), value), '"')
}

//go:noinline
func (l *logLine) number(name string, value int64) {
	l.buf = strconv.AppendInt(append(l.buf, name...), value, 10)
}

// milliseconds appends a duration with at most three decimals.
func (l *logLine) milliseconds(name string, d time.Duration) {
	micro := d.Microseconds()
	l.number(name, micro/1000)
	if micro %= 1000; micro != 0 {
		digits := [4]byte{'.', byte('0' + micro/100), byte('0' + micro/10%10), byte('0' + micro%10)}
		n := len(digits)
		for digits[n-1] == '0' {
			n--
		}
		l.buf = append(l.buf, digits[:n]...)
	}
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7F; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendEscaped appends what stands between the quotes of a JSON string; bytes
// that aren't UTF-8 become U+FFFD.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			return appendUnusual(append(dst, s[:i]...), string(s[i:]))
		}
	}
	return append(dst, s...)
}

func appendUnusual(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\ufffd`...)
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7F:
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r >= 0x80 && r < 0xA0: // terminals obey them
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
	return dst
}
