package balance

// LeastRequest draws two targets by weight, and takes the one with fewer requests in
// progress for its weight (power of two choices). So slow targets get less, without
// everybody rushing to the one that is idle at the moment.
func LeastRequest(source Source) Algorithm {
	source = source.orDefault()
	return Algorithm{Name: "least_request", New: func(members []Member, _ Picker) Picker {
		return &leastRequest{newDraw(members), source}
	}}
}

type leastRequest struct {
	draw
	source Source
}

func (p *leastRequest) Pick(_ uint64, tried []Target) Target {
	if len(p.members) == 0 {
		return nil
	}
	a, b := p.two(p.source)
	fit, other := usable(a.Target, tried), usable(b.Target, tried)
	switch {
	case fit && (!other || lighter(a, b)):
		return a.Target
	case other:
		return b.Target
	}
	return p.scan(p.source(), tried)
}

// two draws members, two different ones where three attempts find them. Of a heavy
// member and light ones it is mostly the heavy one that is drawn twice, as it shall be.
func (d *draw) two(source Source) (a, b *Member) {
	a = d.at(source())
	b = a
	for range 2 {
		if b = d.at(source()); b != a {
			break
		}
	}
	return a, b
}

// lighter reports whether a has no more requests for its weight than b.
func lighter(a, b *Member) bool {
	return a.Target.Active()*int64(b.Weight) <= b.Target.Active()*int64(a.Weight)
}
