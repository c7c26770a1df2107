package stdlib

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func (l *lib) openOS(L *glua.LState) {
	install(L, glua.OsLibName, library(L, map[string]glua.LGFunction{
		"clock": func(L *glua.LState) int {
			L.Push(glua.LNumber(l.now().Sub(l.opened).Seconds()))
			return 1
		},
		"date": l.date,
		"difftime": func(L *glua.LState) int {
			end := checkNumber(L, 1)
			start := 0.0
			if L.Get(2) != glua.LNil {
				start = checkNumber(L, 2)
			}
			L.Push(glua.LNumber(math.Trunc(end) - math.Trunc(start)))
			return 1
		},
		"time": l.time,
	}))
}

// gmt is UTC by the name that C gives it.
var gmt = time.FixedZone("GMT", 0)

// The seconds that os.date takes: the years 1 to 9999.
const (
	minTime = -62135596800
	maxTime = 253402300799
)

func (l *lib) time(L *glua.LState) int {
	if L.Get(1) == glua.LNil {
		L.Push(glua.LNumber(l.now().Unix()))
		return 1
	}
	t := checkTable(L, 1)
	sec, minute, hour := field(L, t, "sec", 0), field(L, t, "min", 0), field(L, t, "hour", 12)
	day, month, year := field(L, t, "day", -1), field(L, t, "month", -1), field(L, t, "year", -1)
	date := time.Date(year, time.Month(month), day, hour, minute, sec, 0, l.now().Location())
	if given := L.GetField(t, "isdst"); given != glua.LNil && glua.LVAsBool(given) != date.IsDST() {
		if glua.LVAsBool(given) { // as C's mktime has it
			date = date.Add(-time.Hour)
		} else {
			date = date.Add(time.Hour)
		}
	}
	if seconds := date.Unix(); seconds >= minTime && seconds <= maxTime {
		L.Push(glua.LNumber(seconds))
	} else {
		L.Push(glua.LNil)
	}
	return 1
}

// field is a field of a date; absent -1 is that it must be there.
func field(L *glua.LState, t *glua.LTable, name string, absent int) int {
	n, ok := toNumber(L, L.GetField(t, name))
	if !ok {
		if absent < 0 {
			L.RaiseError("field '%s' missing in date table", name)
		}
		return absent
	}
	const most = 1 << 31
	if !(n >= -most && n <= most) {
		L.RaiseError("field '%s' is out of range", name)
	}
	return int(n)
}

func (l *lib) date(L *glua.LState) int {
	format := "%c"
	if L.Get(1) != glua.LNil {
		format = checkString(L, 1)
	}
	now := l.now()
	if L.Get(2) != glua.LNil {
		seconds := checkInt(L, 2)
		if seconds < minTime || seconds > maxTime {
			vm.ArgError(L, 2, "time out of range")
		}
		now = time.Unix(int64(seconds), 0).In(now.Location())
	}
	if rest, ok := strings.CutPrefix(format, "!"); ok {
		format, now = rest, now.In(gmt)
	}
	if format == "*t" {
		L.Push(dateTable(L, now))
		return 1
	}
	b := newBuilder(L)
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 || i+1 == len(format) {
			b.add(format)
			break
		}
		b.add(format[:i])
		vm.RunOf(L).Spend(L, 10)
		b.add(strftime(now, format[i+1]))
		format = format[i+2:]
	}
	L.Push(glua.LString(b.text.String()))
	return 1
}

func dateTable(L *glua.LState, t time.Time) *glua.LTable {
	vm.RunOf(L).Charge(L, dateBytes)
	table := L.CreateTable(0, 9)
	for name, n := range map[string]int{
		"year": t.Year(), "month": int(t.Month()), "day": t.Day(), "hour": t.Hour(), "min": t.Minute(),
		"sec": t.Second(), "wday": int(t.Weekday()) + 1, "yday": t.YearDay(),
	} {
		table.RawSetString(name, glua.LNumber(n))
	}
	table.RawSetString("isdst", glua.LBool(t.IsDST()))
	return table
}

// layouts are the conversions of C's strftime that time.Format has, in the "C"
// locale.
var layouts = map[byte]string{
	'P': "pm", 'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02",
	'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03", 'm': "01", 'M': "04",
	'n': "\n", 'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 't': "\t", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

// strftime is a conversion of C's; one that isn't known stands for itself.
func strftime(t time.Time, verb byte) string {
	if layout, ok := layouts[verb]; ok {
		return t.Format(layout)
	}
	year, week := t.ISOWeek()
	switch verb {
	case '%':
		return "%"
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100)
	case 'g':
		return fmt.Sprintf("%02d", year%100)
	case 'G':
		return strconv.Itoa(year)
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1)
	case 's':
		return strconv.FormatInt(t.Unix(), 10)
	case 'u':
		return strconv.Itoa((int(t.Weekday())+6)%7 + 1)
	case 'U':
		return fmt.Sprintf("%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'V':
		return fmt.Sprintf("%02d", week)
	case 'w':
		return strconv.Itoa(int(t.Weekday()))
	case 'W':
		return fmt.Sprintf("%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
	}
	return "%" + string([]byte{verb})
}

// dateBytes is what a table of nine names takes.
const dateBytes = 3 << 10
