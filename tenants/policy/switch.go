package policy

import "sync"

// Switch is a policy that can be switched on and off while its generation lasts.
type Switch interface {
	Switch(on bool)
	Switched() bool
	// Succeed is called before the policy is asked about any request. What stood in its
	// place in the generation before is left as it was switched, if it had the same
	// settings; both are switched together from then on.
	Succeed(old Switch)
}

// switches are the policies of a tenant that can be switched, of the generation that
// was built last, by their index.
type switches struct {
	mu   sync.Mutex
	last map[int]Switch
}

// succeed has policies succeed those of the generation before.
func succeed(kept *Kept, steps []step) {
	s := Keep(kept, func() *switches { return &switches{} })
	s.mu.Lock()
	defer s.mu.Unlock()
	now := map[int]Switch{}
	for i := range steps {
		p, ok := steps[i].policy.(Switch)
		if !ok {
			continue
		}
		if old := s.last[i]; old != nil {
			p.Succeed(old)
		}
		now[i] = p
	}
	s.last = now
}

// Switch switches all policies of a kind; found says whether there is one that can be.
func (c *Chain) Switch(name string, on bool) (found bool) {
	c.switches(name, func(s Switch) { s.Switch(on); found = true })
	return found
}

// Switched reports whether a policy of a kind is on.
func (c *Chain) Switched(name string) (on, found bool) {
	c.switches(name, func(s Switch) { on, found = on || s.Switched(), true })
	return on, found
}

func (c *Chain) switches(name string, f func(s Switch)) {
	if c == nil {
		return
	}
	for i := range c.steps {
		if s, ok := c.steps[i].policy.(Switch); ok && c.steps[i].name == name {
			f(s)
		}
	}
}
