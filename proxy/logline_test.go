package proxy

import (
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// TestLogLines: each kind of member of a line of the access log.
func TestLogLines(t *testing.T) {
	t.Parallel()
	at := func(text string) int64 {
		when, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return when.UnixNano()
	}
	today := dateOf(at("2026-11-30T12:00:00Z"))
	for _, text := range []string{
		"2026-11-30T00:00:00.000Z", "2026-11-30T23:59:59.999Z", "2026-11-30T09:08:07.065Z", "2026-11-30T19:58:47.321Z", "2026-12-01T00:00:00.000Z", "2026-11-29T23:59:59.999Z", "1970-01-01T00:00:00.001Z",
	} {
		var l logLine
		l.begin(at(text)+999, &today)
		if got, want := string(l.end()), `{"time":"`+text+"\"}\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0", 999 * time.Nanosecond: "0", time.Microsecond: "0.001", 10 * time.Microsecond: "0.01", 100 * time.Microsecond: "0.1", 120 * time.Microsecond: "0.12", 999 * time.Microsecond: "0.999",
		time.Millisecond: "1", 1001 * time.Microsecond: "1.001", 1100 * time.Microsecond: "1.1", time.Hour: "3600000", 12345678 * time.Microsecond: "12345.678",
	} {
		var l logLine
		if l.milliseconds("=", d); string(l.buf) != "="+want {
			t.Errorf("%v is %q, want %q", d, l.buf, want)
		}
	}
	for text, want := range map[string]string{
		"": "", "plain ~!#[]": "plain ~!#[]", `"`: `\"`, `a\b`: `a\\b`, `\b`: `\\b`, `"b`: `\"b`, "\x00\x1f\x7f": `\u0000\u001f\u007f`, "\n": `\u000a`, "é€😀": "é€😀", "\x80": `\ufffd`, "a\xffb": `a\ufffdb`,
		"\u0080\u009f\u00a0": `\u0080\u009f` + "\u00a0", "\ufffd": "\ufffd", " ": " ",
	} {
		var l logLine
		l.text("<", text)
		if string(l.buf) != "<"+want+`"` {
			t.Errorf("%q is %q, want %q", text, l.buf, want)
		}
		l.buf = nil
		if l.bytes("<", []byte(text)); string(l.buf) != "<"+want+`"` {
			t.Errorf("%q as bytes is %q, want %q", text, l.buf, want)
		}
	}
}

// TestLinesOfStrangers: ten at once, and then one every ten seconds, which says how
// many there were none for.
func TestLinesOfStrangers(t *testing.T) {
	t.Parallel()
	var b lineBudget
	b.filled = socket.Nanotime()
	take := func(n int) (lines int, silent uint64) {
		for range n {
			if before, ok := b.take(); ok {
				lines++
				silent += before
			}
		}
		return lines, silent
	}
	if lines, silent := take(13); lines != 10 || silent != 0 {
		t.Errorf("of 13, %d have a line; %d had none before", lines, silent)
	}
	none := uint64(3)
	for _, c := range []struct{ passed, lines int }{{1, 1}, {3, 3}, {9, 9}, {10, 10}, {1000, 10}} {
		b.filled = socket.Nanotime() - int64(c.passed)*linePause
		if lines, silent := take(13); lines != c.lines || silent != none {
			t.Errorf("after %d pauses, %d have a line, want %d; %d had none before, want %d", c.passed, lines, c.lines, silent, none)
		}
		none = uint64(13 - c.lines)
	}
}
