package modules

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// The bounds of what scripts log.
const (
	logMaxMessage = 4 << 10 // bytes
	logMaxValue   = 1 << 10 // bytes of a field's value
	logMaxName    = 64      // bytes of a field's name
	logMaxFields  = 16
	logMaxLines   = 100 // of a run
)

// logVM counts the lines of the runs in flight on one VM.
type logVM struct{ lines map[*vm.Run]logCount }

// logCount is how much a run has logged. Runs are reused, their contexts are
// not: they tell whether it is still the same use.
type logCount struct {
	ctx   context.Context
	lines int
}

func logOf(L *glua.LState) *logVM {
	return perVM(L, "keystone.log", func(*glua.LState) *logVM { return &logVM{lines: map[*vm.Run]logCount{}} })
}

// count counts a line of the run, and returns how many there are now.
func (l *logVM) count(run *vm.Run) int {
	ctx := run.Context()
	c := l.lines[run]
	if c.ctx != ctx {
		c = logCount{ctx: ctx}
		if len(l.lines) >= 64 {
			for run, c := range l.lines {
				if c.ctx.Err() != nil {
					delete(l.lines, run)
				}
			}
		}
	}
	c.lines++
	l.lines[run] = c
	return c.lines
}

// openLog makes the log module, which can be called as LogCall can. A request
// logs at most 100 lines; then one says that more are dropped.
func openLog(L *glua.LState, t *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"debug": logDebug(t), "info": logInfo(t), "warn": logWarn(t), "error": logError(t),
	})
}

// log.debug(message, fields?): writes a line at level debug, which is usually
// off. See log.info.
func logDebug(t *Tenant) glua.LGFunction { return logLevel(t, zerolog.DebugLevel, 1) }

// log.info(message, fields?): writes a line to the gateway's log, with the
// tenant and the request it belongs to. The message is cut at 4 KiB. fields is
// a table of names and values, of which the first 16 are written: strings, cut
// at 1 KiB, numbers and booleans; of others only the type. Names that the
// gateway uses itself are prefixed with "field_".
func logInfo(t *Tenant) glua.LGFunction { return logLevel(t, zerolog.InfoLevel, 1) }

// log.warn(message, fields?): writes a line at level warn. See log.info.
func logWarn(t *Tenant) glua.LGFunction { return logLevel(t, zerolog.WarnLevel, 1) }

// log.error(message, fields?): writes a line at level error. See log.info.
func logError(t *Tenant) glua.LGFunction { return logLevel(t, zerolog.ErrorLevel, 1) }

// LogCall is what the log module's table does when it is called, as a __call
// metamethod, whose first argument is the table.
//
// log(message, fields?): the same as log.info.
func LogCall(t *Tenant) glua.LGFunction { return logLevel(t, zerolog.InfoLevel, 2) }

// Print returns the global function print.
//
// print(…): writes its arguments, separated by tabs, to the log, as log.info.
func Print(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		var message strings.Builder
		for i := 1; i <= L.GetTop() && message.Len() <= logMaxMessage; i++ {
			if i > 1 {
				message.WriteByte('\t')
			}
			message.WriteString(logCut(logText(L, L.Get(i)), logMaxMessage))
		}
		logWrite(L, t, zerolog.InfoLevel, message.String(), nil)
		return 0
	}
}

// logLevel returns a function that logs its argument first at a level, with
// the fields in the next one.
func logLevel(t *Tenant, level zerolog.Level, first int) glua.LGFunction {
	return func(L *glua.LState) int {
		message := logText(L, vm.CheckAny(L, first))
		logWrite(L, t, level, message, vm.OptTable(L, first+1, nil))
		return 0
	}
}

// logText is the text of a value. Unlike Lua's tostring it shows no addresses.
func logText(L *glua.LState, v glua.LValue) string {
	switch v.Type() {
	case glua.LTString, glua.LTNumber, glua.LTBool, glua.LTNil:
		return vm.Text(v)
	default:
	}
	if f, ok := L.GetMetaField(v, "__tostring").(*glua.LFunction); ok {
		L.Push(f)
		L.Push(v)
		L.Call(1, 1)
		result := L.Get(-1)
		L.Pop(1)
		if s, ok := result.(glua.LString); ok {
			return string(s)
		}
	}
	return v.Type().String()
}

// logCut shortens s to n bytes, between characters, and says how many are
// missing.
func logCut(s string, n int) string {
	if len(s) <= n {
		return logVisible(s)
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return logVisible(s[:n]) + fmt.Sprintf("… (%d bytes cut)", len(s)-n)
}

// logVisible writes out what a terminal would obey and JSON leaves as it is.
func logVisible(s string) string {
	if strings.IndexFunc(s, logUnseen) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if logUnseen(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// logUnseen reports whether a character is one of the control characters
// U+0080 to U+009F, or changes the direction of the text around it.
func logUnseen(r rune) bool {
	return r >= 0x80 && r < 0xa0 || r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func logWrite(L *glua.LState, t *Tenant, level zerolog.Level, message string, fields *glua.LTable) {
	run := vm.RunOf(L)
	run.Spend(L, 100+min(len(message), logMaxMessage)/8)
	if t.Log.GetLevel() > level || zerolog.GlobalLevel() > level || !t.Budget.Enabled(level) {
		return
	}
	n := logOf(L).count(run)
	if n > logMaxLines+1 || t.Budget.Refuses() {
		return
	}
	event := t.Log.WithLevel(level).Bool("by_script", true)
	if owner, ok := run.Owner.(Logging); ok {
		owner.AppendLog(event)
	}
	if n > logMaxLines {
		event.Msg("log lines dropped: a script may write 100 for a request")
		return
	}
	if fields != nil {
		logFields(L, event, jsonContent(fields))
	}
	event.Msg(logCut(message, logMaxMessage))
}

func logFields(L *glua.LState, event *zerolog.Event, fields *glua.LTable) {
	n := 0
	for k, v := vm.Next(L, fields, glua.LNil); k != glua.LNil && n < logMaxFields; k, v = vm.Next(L, fields, k) {
		n++
		name := logName(k)
		switch v := v.(type) {
		case glua.LString:
			vm.RunOf(L).Spend(L, min(len(v), logMaxValue)/8)
			event.Str(name, logCut(string(v), logMaxValue))
		case glua.LNumber:
			event.Float64(name, float64(v))
		case glua.LBool:
			event.Bool(name, bool(v))
		default:
			event.Str(name, v.Type().String())
		}
	}
}

// logName is the name of a field whose key is k.
func logName(k glua.LValue) string {
	name := k.Type().String()
	if k.Type() == glua.LTString || k.Type() == glua.LTNumber || k.Type() == glua.LTBool {
		name = logCut(k.String(), logMaxName)
	}
	// In any case: many readers of JSON take "Tenant" for "tenant".
	for _, own := range []string{
		zerolog.LevelFieldName, zerolog.TimestampFieldName, zerolog.MessageFieldName, zerolog.ErrorFieldName, zerolog.CallerFieldName,
		"level", "time", "message", "error", "tenant", "request_id", "method", "path", "script", "by_script", "kind", "stack",
	} {
		if strings.EqualFold(name, own) {
			return "field_" + name
		}
	}
	return name
}
