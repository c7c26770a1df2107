package balance

// Sticky sends a request to the target whose key it has (KeyOf of the member's ID), as
// one that has been there before, and where there is none, or that one won't do, as
// another algorithm says.
func Sticky(within Algorithm) Algorithm {
	return Algorithm{Name: "sticky", Times: within.Times, New: func(members []Member, before Picker) Picker {
		p := &sticky{targets: make(map[uint64]Target, len(members))}
		for _, m := range members {
			if m.Weight > 0 {
				p.targets[KeyOf(m.ID)] = m.Target
			}
		}
		var old Picker
		if before, ok := before.(*sticky); ok {
			old = before.within
		}
		p.within = within.New(members, old)
		return p
	}}
}

type sticky struct {
	targets map[uint64]Target // those of weights above 0, by their keys
	within  Picker
}

func (p *sticky) Pick(key uint64, tried []Target) Target {
	if key != 0 {
		if t, ok := p.targets[key]; ok && usable(t, tried) {
			return t
		}
	}
	return p.within.Pick(0, tried)
}

// Keeper is a picker that knows whether it would send a first attempt to the target of
// a key.
type Keeper interface{ Keeps(key uint64) bool }

// Keeps reports whether there is a target of that key which may get requests.
func (p *sticky) Keeps(key uint64) bool {
	t, ok := p.targets[key]
	return ok && usable(t, nil)
}
