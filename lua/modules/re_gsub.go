package modules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// re.gsub(s, pattern, replacement, n?) -> string, count: s with its first n
// matches (all) replaced, and how many there were. In a string, $1 to $99 and
// ${name} or ${1} are captures, $0 the whole match and $$ a dollar sign. A
// function is called with the captures, or the whole match; in a table the
// first capture, or the whole match, is looked up: if the result is false or
// nil, the match stays.
func reGsub(L *glua.LState, s *reSubject, rest int) int {
	replace := s.replacement(L, rest)
	n := vm.OptInt(L, rest+1, -1)
	var out []byte
	count, begin := 0, 0
	matches := reMatches{subject: s, end: -1}
	for n < 0 || count < n {
		m := matches.next()
		if m == nil {
			break
		}
		out = s.append(out, s.s[begin:m[0]])
		out = replace(out, m)
		begin = m[1]
		count++
	}
	if count == 0 {
		L.Push(glua.LString(s.s))
		L.Push(glua.LNumber(0))
		return 2
	}
	out = s.append(out, s.s[begin:])
	s.run.ChargeString(L, len(out))
	L.Push(glua.LString(out))
	L.Push(glua.LNumber(count))
	return 2
}

// append charges for and appends a piece of a result.
func (s *reSubject) append(out []byte, piece string) []byte {
	if need := len(out) + len(piece); need > cap(out) {
		s.run.CheckString(s.L, need)
		grow := max(need, 2*cap(out), 64) - len(out)
		s.run.Charge(s.L, grow)
		out = slices.Grow(out, grow)
	}
	s.run.Spend(s.L, 1+len(piece)/64)
	return append(out, piece...)
}

// replacement returns what appends the replacement of a match.
func (s *reSubject) replacement(L *glua.LState, n int) func(out []byte, m []int) []byte {
	switch repl := L.Get(n).(type) {
	case glua.LString, glua.LNumber:
		parts, err := s.p.template(vm.Text(repl))
		if err != nil {
			vm.ArgError(L, n, err.Error())
		}
		s.run.Spend(L, len(repl.String())/4)
		s.run.Charge(L, 32*len(parts))
		return func(out []byte, m []int) []byte {
			for _, part := range parts {
				text := part.text
				if part.group >= 0 && m[2*part.group] >= 0 {
					text = s.s[m[2*part.group]:m[2*part.group+1]]
				}
				out = s.append(out, text)
			}
			return out
		}
	case *glua.LFunction:
		return func(out []byte, m []int) []byte {
			L.Push(repl)
			L.Call(s.pushCaptures(m), 1)
			v := L.Get(-1)
			L.Pop(1)
			return s.appendResult(out, m, v)
		}
	case *glua.LTable:
		return func(out []byte, m []int) []byte {
			return s.appendResult(out, m, L.GetTable(repl, s.capture(m, min(1, len(m)/2-1))))
		}
	}
	vm.ArgError(L, n, "string, function or table expected")
	return nil
}

// appendResult appends what a function or table has for a match.
func (s *reSubject) appendResult(out []byte, m []int, v glua.LValue) []byte {
	switch v := v.(type) {
	case glua.LString, glua.LNumber:
		return s.append(out, vm.Text(v))
	default:
		if glua.LVAsBool(v) {
			s.L.RaiseError("invalid replacement value (a %s)", v.Type().String())
		}
		return s.append(out, s.s[m[0]:m[1]])
	}
}

// rePart is a piece of a replacement: text, or a capture if group is not -1.
type rePart struct {
	text  string
	group int
}

// template takes a replacement apart.
func (p *rePattern) template(repl string) ([]rePart, error) {
	var parts []rePart
	for repl != "" {
		text, after, found := strings.Cut(repl, "$")
		if text != "" {
			parts = append(parts, rePart{text, -1})
		}
		if !found {
			break
		}
		if rest, ok := strings.CutPrefix(after, "$"); ok {
			parts = append(parts, rePart{"$", -1})
			repl = rest
			continue
		}
		var name string
		if rest, ok := strings.CutPrefix(after, "{"); ok {
			if name, repl, ok = strings.Cut(rest, "}"); !ok {
				return nil, fmt.Errorf("${ without } in the replacement")
			}
		} else {
			n := 0
			for n < len(after) && n < 2 && '0' <= after[n] && after[n] <= '9' {
				n++
			}
			name, repl = after[:n], after[n:]
		}
		group := p.group(name)
		if group < 0 {
			return nil, fmt.Errorf("the replacement has a $ without a capture of the pattern ($$ is a dollar sign)")
		}
		parts = append(parts, rePart{"", group})
	}
	return parts, nil
}

// group is the number of the capture with a name or number, or -1.
func (p *rePattern) group(name string) int {
	if n, err := strconv.ParseUint(name, 10, 16); err == nil {
		if int(n) > p.captures {
			return -1
		}
		return int(n)
	}
	if name == "" {
		return -1
	}
	return p.re.SubexpIndex(name)
}
