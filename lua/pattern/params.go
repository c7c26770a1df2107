package pattern

// MaxSteps bounds the work done with one [Params] between two calls of Reset.
// A step takes about 10 ns at the worst.
const MaxSteps = 1 << 20

// Outcome is what came of a match.
type Outcome uint8

// NotFound is the zero Outcome.
const (
	// NotFound: no pattern matches the path.
	NotFound Outcome = iota
	// Found: pattern and method match, parameters are captured.
	Found
	// WrongMethod: patterns match the path, none of them with this method.
	WrongMethod
	// Exhausted: the match took more than [MaxSteps] and was given up. Whether
	// the path matches is unknown: refuse the request. Taking it for NotFound
	// would let it pass by a middleware.
	Exhausted
)

// String returns the outcome in words, for logs and tests.
func (o Outcome) String() string {
	switch o {
	case Found:
		return "found"
	case NotFound:
		return "not found"
	case WrongMethod:
		return "wrong method"
	case Exhausted:
		return "exhausted"
	}
	return "unknown outcome"
}

// Params holds what the last match captured, and counts the steps of all
// matches since Reset. The zero value is ready; callers pool it. It isn't safe
// for concurrent use.
//
// The values are views into the path that was matched: they are valid as long
// as its bytes are.
type Params struct {
	path  []byte
	names []string // of the pattern that matched; never written to
	spans [MaxParams]span
	count int
	steps int
}

// span is the part of a path from begin up to and without end.
type span struct{ begin, end int }

// Reset forgets the captured values, the path that they alias, and the steps.
func (p *Params) Reset() {
	p.path, p.names, p.count, p.steps = nil, nil, 0, 0
}

// Len returns the number of captured parameters, 0 after a match that didn't
// end with Found.
func (p *Params) Len() int { return p.count }

// At returns the i-th parameter in the order of the pattern. It panics when i
// isn't below Len.
func (p *Params) At(i int) (name string, value []byte) {
	if i >= p.count {
		panic("BUG: pattern: parameter index out of range")
	}
	return p.names[i], p.value(i)
}

// Get returns the value of the parameter name, "*" for the catch-all.
func (p *Params) Get(name string) (value []byte, ok bool) {
	for i, n := range p.names[:p.count] {
		if n == name {
			return p.value(i), true
		}
	}
	return nil, false
}

// Span returns where in the path that was matched the parameter name was found: from
// begin up to and without end.
func (p *Params) Span(name string) (begin, end int, ok bool) {
	for i, n := range p.names[:p.count] {
		if n == name {
			return p.spans[i].begin, p.spans[i].end, true
		}
	}
	return 0, 0, false
}

// Steps returns the work done since Reset, for charging it to whoever declared
// the patterns.
func (p *Params) Steps() int { return p.steps }

// value ends the view's capacity too, so that appending to it can't write into
// the path.
func (p *Params) value(i int) []byte {
	s := p.spans[i]
	return p.path[s.begin:s.end:s.end]
}

// begin starts a match; the steps go on from the last one.
func (p *Params) begin(path []byte) {
	p.path, p.names, p.count = path, nil, 0
}

// end finishes a match that found the pattern with these names.
func (p *Params) end(names []string) { p.names = names }

// fail finishes a match that found nothing.
func (p *Params) fail() {
	p.path, p.names, p.count = nil, nil, 0
}

// push captures path[begin:end]. Parse bounds the parameters of a pattern, so
// there is always room.
func (p *Params) push(begin, end int) {
	p.spans[p.count] = span{begin, end}
	p.count++
}

// spend counts n steps and says whether there were as many left.
func (p *Params) spend(n int) bool {
	p.steps += n
	return p.steps <= MaxSteps
}

func (p *Params) exhausted() bool { return p.steps > MaxSteps }
