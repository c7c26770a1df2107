package test

import (
	"fmt"
	"slices"
	"strings"
)

// method demands the request's method.
func method(want string) func(request) string {
	return func(r request) string { return differs("method", r.method, want) }
}

// target demands that the request's target is one of wants.
func target(wants ...string) func(request) string {
	return func(r request) string { return differs("target", r.target, wants...) }
}

// body demands the body, whatever its framing.
func body(want string) func(request) string {
	return func(r request) string { return differs("body", string(r.body), want) }
}

// line demands that header lines stand in the request byte for byte.
func line(wants ...string) func(request) string {
	return func(r request) string { return lacks(&r.message, wants) }
}

// without demands that no line of these names is in the request.
func without(names ...string) func(request) string {
	return func(r request) string { return holds(&r.message, names) }
}

// values demands the values of all lines of a name, in order.
func values(name string, want ...string) func(request) string {
	return func(r request) string {
		return differs(name, fmt.Sprintf("%q", r.values(name)), fmt.Sprintf("%q", want))
	}
}

// notIn demands that text occurs nowhere in the request's head or trailers.
func notIn(text string) func(request) string {
	return func(r request) string {
		if strings.Contains(r.start, text) || slices.ContainsFunc(append(slices.Clone(r.fields), r.trailers...),
			func(f field) bool { return strings.Contains(f.line, text) }) {
			return fmt.Sprintf("it holds %q", text)
		}
		return ""
	}
}

// trailer demands the values of all trailer lines of a name.
func trailer(name string, want ...string) func(request) string {
	return func(r request) string {
		return differs("trailer "+name, fmt.Sprintf("%q", valuesOf(r.trailers, name)), fmt.Sprintf("%q", want))
	}
}

// answerLine demands that header lines stand in the answer byte for byte.
func answerLine(wants ...string) func(*response) string {
	return func(r *response) string { return lacks(&r.message, wants) }
}

// answerWithout demands that no line of these names is in the answer.
func answerWithout(names ...string) func(*response) string {
	return func(r *response) string { return holds(&r.message, names) }
}

// answerBody demands the answer's body, whatever its framing.
func answerBody(want string) func(*response) string {
	return func(r *response) string { return differs("body", string(r.body), want) }
}

func differs(what, got string, wants ...string) string {
	if slices.Contains(wants, got) {
		return ""
	}
	return fmt.Sprintf("%s is %.300q, want %.300q", what, got, strings.Join(wants, " or "))
}

func lacks(m *message, lines []string) string {
	for _, want := range lines {
		if !m.hasLine(want) {
			return fmt.Sprintf("line %.200q is missing in %.1000q", want, m.fields)
		}
	}
	return ""
}

func holds(m *message, names []string) string {
	for _, name := range names {
		if got := m.values(name); got != nil {
			return fmt.Sprintf("it holds %s: %q", name, got)
		}
	}
	return ""
}
