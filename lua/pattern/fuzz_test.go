package pattern_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

// reference is a matcher that tries all routes, one after another, in the
// order of their precedence. It shares no code with the package.
type reference struct {
	routes []*referenceRoute
}

type referenceRoute struct {
	number   int
	method   string
	text     string
	segments []referenceSegment
}

type referenceSegment struct {
	text     string
	parts    []referencePart
	split    *regexp.Regexp // the holes are groups that any value fits
	literals []string       // around the holes
	first    int            // the first route with the same segments up to here
}

// referencePart is a hole.
type referencePart struct {
	name   string
	regexp string
}

func referenceSegments(text string) []string {
	var list []string
	depth, start := 0, 1
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == '/' && depth == 0:
			list = append(list, text[start:i])
			start = i + 1
		}
	}
	return append(list, text[start:])
}

func newReferenceSegment(text string) referenceSegment {
	s := referenceSegment{text: text}
	var split strings.Builder
	literal := ""
	add := func(part referencePart, group string) {
		s.parts = append(s.parts, part)
		s.literals = append(s.literals, literal)
		split.WriteString(regexp.QuoteMeta(literal) + group)
		literal = ""
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			end, depth := i+1, 1
			for ; depth > 0; end++ {
				switch text[end] {
				case '\\':
					end++
				case '{':
					depth++
				case '}':
					depth--
				}
			}
			name, re, _ := strings.Cut(text[i+1:end-1], ":")
			add(referencePart{name, re}, "([^/]+?)")
			i = end - 1
		case '*':
			add(referencePart{"*", ""}, "(.*)")
		default:
			literal += text[i : i+1]
		}
	}
	s.literals = append(s.literals, literal)
	split.WriteString(regexp.QuoteMeta(literal))
	s.split = regexp.MustCompile(`^(?s:` + split.String() + `)$`)
	return s
}

// shape is the segment without names.
func (s referenceSegment) shape() string {
	text := s.literals[0]
	for i, p := range s.parts {
		text += "\x00" + p.name[:min(1, strings.Count(p.name, "*"))] + ":" + p.regexp + "\x00" + s.literals[i+1]
	}
	return text
}

// kind orders what may follow a literal: the end, a regexp, a plain parameter,
// a catch-all.
func (s referenceSegment) kind(i int) int {
	switch {
	case i == len(s.parts):
		return 0
	case s.parts[i].regexp != "":
		return 1
	case s.parts[i].name != "*":
		return 2
	}
	return 3
}

func (s referenceSegment) compare(o referenceSegment) int {
	if (len(s.parts) == 0) != (len(o.parts) == 0) {
		return len(s.parts) - len(o.parts)
	}
	for i := 0; i < len(s.literals) && i < len(o.literals); i++ {
		if d := len(o.literals[i]) - len(s.literals[i]); d != 0 {
			return d
		}
		if d := s.kind(i) - o.kind(i); d != 0 {
			return d
		}
	}
	return s.first - o.first
}

func newReference(routes []*referenceRoute) *reference {
	first := map[string]int{}
	for _, r := range routes {
		way := ""
		for _, text := range referenceSegments(r.text) {
			s := newReferenceSegment(text)
			way += "\x01" + s.shape()
			if _, known := first[way]; !known {
				first[way] = r.number
			}
			s.first = first[way]
			r.segments = append(r.segments, s)
		}
	}
	slices.SortStableFunc(routes, func(a, b *referenceRoute) int {
		for i := 0; i < len(a.segments) && i < len(b.segments); i++ {
			if c := a.segments[i].compare(b.segments[i]); c != 0 {
				return c
			}
		}
		// One pattern or one beginning another; any method comes last.
		return strings.Compare(b.method, a.method)
	})
	return &reference{routes: routes}
}

// captures matches one route: the parameters as "a=1 b=2", and whether.
func (r *referenceRoute) captures(path string) (string, bool) {
	rest, found := path, []string{}
	for _, s := range r.segments {
		if rest == "" || rest[0] != '/' {
			return "", false
		}
		segment := rest[1:]
		if !strings.HasSuffix(s.text, "*") || s.kind(len(s.parts)-1) != 3 {
			segment, _, _ = strings.Cut(segment, "/")
		}
		rest = rest[1+len(segment):]
		values := s.split.FindStringSubmatch(segment)
		if values == nil {
			return "", false
		}
		for i, p := range s.parts {
			v := values[i+1]
			if p.regexp != "" && !regexp.MustCompile(`^(?:`+p.regexp+`)$`).MatchString(v) {
				return "", false
			}
			found = append(found, p.name+"="+v)
		}
	}
	return strings.Join(found, " "), rest == ""
}

func (r *reference) match(method, path string) (number int, params string, outcome pattern.Outcome, allow []string) {
	anyMethod := false
	number, outcome = -1, pattern.NotFound
	for _, route := range r.routes {
		captured, ok := route.captures(path)
		switch {
		case !ok:
			continue
		case route.method == "":
			anyMethod = true
		case !slices.Contains(allow, route.method):
			allow = append(allow, route.method)
		}
		if outcome != pattern.Found && (route.method == "" || route.method == method) {
			number, params, outcome = route.number, captured, pattern.Found
		}
	}
	if outcome == pattern.NotFound && len(allow) > 0 {
		outcome = pattern.WrongMethod
	}
	slices.Sort(allow)
	if anyMethod {
		allow = nil
	}
	return number, params, outcome, allow
}

// FuzzTable compares tables with the reference: routes are lines such as
// "GET /a", the method may be empty.
func FuzzTable(f *testing.F) {
	f.Add("GET /\nGET /{a}\n /*\nPOST /x", "GET", "/x")
	f.Add("GET /{a:[0-9]+}-{b}/c\nGET /{a}-{b:x|y}/{c}\nGET /{a}-*", "GET", "/1-y/c")
	f.Add("GET /{a}.json\nGET /{a}.{b}\nGET /{a}\nGET /a{x}\nGET /ab*", "GET", "/ab.c.json")
	f.Add("GET /a/b/x\nGET /{p}/b/y\nGET /a/{p:.+}/z\nPOST /a/b/y", "GET", "/a/b/y")
	f.Add("GET /{a:.*}/\nGET /{a:.*}\nGET /{b:[^/]+}\nGET /{c:[a-é]+}", "GET", "/\xC3\xA9")
	f.Add(`GET /{a:(?i)[a-z]+}`+"\n"+`GET /{a:\d+$}`+"\n"+`GET /{a:\{{2}}`, "GET", "/{{")
	f.Add("GET /{a}aab{b}\nGET /{a:(a*)}b{b}", "GET", "/aaaaabb")
	f.Fuzz(func(t *testing.T, text, method, path string) {
		if len(text) > 500 || len(path) > 500 {
			return
		}
		var b pattern.Builder[int]
		var routes []*referenceRoute
		for i, line := range strings.Split(text, "\n") {
			m, p, _ := strings.Cut(line, " ")
			err := b.Add(m, p, i)
			var conflict *pattern.Conflict
			if errors.As(err, &conflict) && newReferencePattern(conflict.Earlier) != newReferencePattern(p) {
				t.Errorf("%q is no conflict with %q", p, conflict.Earlier)
			}
			if err != nil {
				continue
			}
			for _, r := range routes {
				if r.method == m && newReferencePattern(r.text) == newReferencePattern(p) {
					t.Errorf("%q should conflict with %q", p, r.text)
				}
			}
			routes = append(routes, &referenceRoute{number: i, method: m, text: p})
		}
		ref, tab := newReference(routes), b.Build()
		compare(t, ref, tab, method, path)
		for _, s := range tab.Unreachable() {
			checkShadow(t, ref, s, path)
		}
	})
}

// TestAgainstReference does the same with routes that have much in common,
// which a fuzzer takes long to find.
func TestAgainstReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	segments := []string{"a", "b", "ab", "a-b", "{%}", "{%}", "{%:[a-b]+}", "{%:.*}", "{%:a|ab}", "{%}b", "a{%}", "{%}-{%}",
		"{%:a+}-{%}", "{%}-b", "{%:b*}-{%:[a-c]+}", "a{%}-{%}b"}
	last := []string{"*", "a*", "{%}-*", "", "", "a"}
	parts := []string{"a", "b", "ab", "a-b", "a-b-b", "b-a", "aa", "c", "-", "-a", "a-"}
	methods := []string{"GET", "GET", "POST", ""}
	for range 4000 {
		var b pattern.Builder[int]
		var routes []*referenceRoute
		for i := range 1 + random.IntN(8) {
			text := ""
			for range random.IntN(4) {
				text += "/" + pick(segments)
			}
			if text == "" || random.IntN(3) == 0 {
				text += "/" + pick(last)
			}
			for n := 0; strings.Contains(text, "%"); n++ {
				text = strings.Replace(text, "%", string(rune('p'+(n+i)%10)), 1)
			}
			method := pick(methods)
			if b.Add(method, text, i) == nil {
				routes = append(routes, &referenceRoute{number: i, method: method, text: text})
			}
		}
		ref, tab := newReference(routes), b.Build()
		shadows := tab.Unreachable()
		for range 20 {
			path := ""
			for range 1 + random.IntN(4) {
				path += "/" + pick(parts)
			}
			if random.IntN(4) == 0 {
				path += "/"
			}
			compare(t, ref, tab, pick(methods), path)
			for _, s := range shadows {
				checkShadow(t, ref, s, path)
			}
		}
		if t.Failed() {
			tab.Walk(func(method, pattern string, i int) { t.Logf("route %d: %s %s", i, method, pattern) })
			return
		}
	}
}

func newReferencePattern(text string) string {
	shape := ""
	for _, s := range referenceSegments(text) {
		shape += "\x01" + newReferenceSegment(s).shape()
	}
	return shape
}

func compare(t *testing.T, ref *reference, tab *pattern.Table[int], method, path string) {
	t.Helper()
	var params pattern.Params
	input := []byte(path)
	number, text, outcome := tab.Match([]byte(method), input, &params)
	if outcome == pattern.Exhausted {
		return
	}
	wantNumber, want, wantOutcome, allow := ref.match(method, path)
	if outcome != wantOutcome || outcome == pattern.Found && (number != wantNumber || captured(&params) != want) {
		t.Errorf("%s %q: got %v %d %q, want %v %d %q", method, path, outcome, number, captured(&params), wantOutcome, wantNumber, want)
	}
	if got := tab.Allow(input); !slices.Equal(got, allow) {
		t.Errorf("%q: allows %q, want %q", path, got, allow)
	}
	if outcome == pattern.Found {
		checkAlone(t, text, input, captured(&params))
	}
	if !bytes.Equal(input, []byte(path)) {
		t.Errorf("%q was changed", path)
	}
}

// checkAlone matches the pattern that a table found without the table.
func checkAlone(t *testing.T, text string, path []byte, want string) {
	t.Helper()
	var params pattern.Params
	p := mustParse(t, text)
	if outcome := p.Match(path, &params); outcome != pattern.Found || captured(&params) != want {
		t.Errorf("%s alone on %q: %v %q, want %q", p, path, outcome, captured(&params), want)
	}
	if n, outcome := p.MatchPrefix(path, &params); outcome != pattern.Found || n < len(path)-1 || captured(&params) != want {
		t.Errorf("%s as a scope of %q: %d %v %q, want %q", p, path, n, outcome, captured(&params), want)
	}
}

// checkShadow is a counter-example if path is canonical and reaches the route.
func checkShadow(t *testing.T, ref *reference, s pattern.Shadow, path string) {
	t.Helper()
	for i := range len(path) {
		if path[i] <= ' ' || path[i] > '~' {
			return
		}
	}
	method := s.Method
	if method == "" {
		method = "OTHER"
	}
	number, _, _, _ := ref.match(method, path)
	for _, r := range ref.routes {
		if r.number == number && r.text == s.Pattern && r.method == s.Method {
			t.Errorf("%s %s is reached by %s, though shadowed by %s", method, r.text, path, s.By)
		}
	}
}
