package policy

// Switch is a policy that can be switched on and off while its generation lasts.
type Switch interface {
	Switch(on bool)
	Switched() bool
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
