package headers

import (
	"maps"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	request, response := c.Request.compile(), c.Response.compile()
	if c.Response.empty() {
		return &requests{request}, nil
	}
	return &both{requests{request}, response}, nil
}

// requests is the policy where it concerns only requests.
type requests struct{ edits *edits }

// Judge changes the request, and lets it pass.
func (p *requests) Judge(r *policy.Request) (*policy.Answer, error) {
	p.edits.apply(r, r.Header)
	return nil, nil
}

// both is the policy where it concerns responses too.
type both struct {
	requests
	response *edits
}

// Amend changes the response.
func (p *both) Amend(r *policy.Request, response *policy.Response) {
	p.response.apply(r, response.Header)
}

// edits is a section of edits, compiled.
type edits struct {
	removed  []string // folded
	set, add []line
}

// line is a field, with a value for each of its lines.
type line struct {
	name   []byte
	folded string
	id     message.ID
	values Values
}

func (e *Edits) compile() *edits {
	compiled := &edits{set: lines(e.Set), add: lines(e.Add)}
	for _, name := range e.Remove {
		compiled.removed = append(compiled.removed, policy.Folded(name))
	}
	return compiled
}

func lines(fields map[string]*Values) (list []line) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, line{[]byte(name), policy.Folded(name), message.Identify([]byte(name)), *fields[name]})
	}
	return list
}

func (e *edits) apply(r *policy.Request, h *message.Header) {
	for _, name := range e.removed {
		remove(h, 0, name)
	}
	for i := range e.set {
		e.set[i].set(r, h)
	}
	for i := range e.add {
		l := &e.add[i]
		for j := range l.values {
			*h = append(*h, l.field(r, j))
		}
	}
}

// set puts the first line in the place of the first that there is.
func (l *line) set(r *policy.Request, h *message.Header) {
	at := 0
	for at < len(*h) && !policy.SameName((*h)[at].Name, l.folded) {
		at++
	}
	if at == len(*h) {
		*h = append(*h, l.field(r, 0))
	} else {
		(*h)[at] = l.field(r, 0)
		remove(h, at+1, l.folded)
	}
	for j := 1; j < len(l.values); j++ {
		*h = append(*h, l.field(r, j))
	}
}

func (l *line) field(r *policy.Request, i int) message.Field {
	return message.Field{Name: l.name, Value: l.values[i].Value(r), ID: l.id}
}

// remove removes the fields of a name from an index on.
func remove(h *message.Header, from int, name string) {
	list := *h
	kept := from
	for i := from; i < len(list); i++ {
		if policy.SameName(list[i].Name, name) {
			continue
		}
		if kept != i {
			list[kept] = list[i]
		}
		kept++
	}
	clear(list[kept:])
	*h = list[:kept]
}
