package balance

import "math/bits"

// Random draws a target by weight for each request. It keeps no state, so that many
// gateways in front of the same targets don't walk through them in step.
func Random(source Source) Algorithm {
	source = source.orDefault()
	return Algorithm{Name: "random", New: func(members []Member, _ Picker) Picker {
		return &random{newDraw(members), source}
	}}
}

type random struct {
	draw
	source Source
}

func (p *random) Pick(_ uint64, tried []Target) Target {
	if len(p.members) == 0 {
		return nil
	}
	if t := p.at(p.source()).Target; usable(t, tried) {
		return t
	}
	return p.scan(p.source(), tried)
}

// draw takes members by weight, in a time that doesn't depend on their number: Vose's
// alias method. It has those that were healthy and of a weight above 0.
type draw struct {
	members []Member
	// Of a column, the part below cut is its own member's, the rest is the alias's; nil
	// is that all are equal.
	cut   []uint32
	alias []uint16
	total int // of the weights
}

func newDraw(all []Member) draw {
	d := draw{members: make([]Member, 0, len(all))}
	equal := true
	for _, m := range all {
		if m.Weight > 0 && m.Target.Healthy() {
			d.members = append(d.members, m)
			d.total += m.Weight
			equal = equal && m.Weight == d.members[0].Weight
		}
	}
	if !equal {
		d.fill()
	}
	return d
}

// fill makes the columns: each light member's is filled up by a heavy one.
func (d *draw) fill() {
	n := len(d.members)
	d.cut, d.alias = make([]uint32, n), make([]uint16, n)
	parts := make([]float64, n)
	var light, heavy []int
	for i, m := range d.members {
		parts[i] = float64(m.Weight) * float64(n) / float64(d.total)
		if parts[i] < 1 {
			light = append(light, i)
		} else {
			heavy = append(heavy, i)
		}
		d.cut[i], d.alias[i] = 1<<32-1, uint16(i)
	}
	for len(light) > 0 && len(heavy) > 0 {
		l, h := light[len(light)-1], heavy[len(heavy)-1]
		light = light[:len(light)-1]
		d.cut[l], d.alias[l] = uint32(parts[l]*(1<<32)), uint16(h) //nolint:gosec // G115: below 1<<32, and at most 65535
		if parts[h] -= 1 - parts[l]; parts[h] < 1 {
			heavy = heavy[:len(heavy)-1]
			light = append(light, h)
		}
	}
}

// at is the member of a random number. There must be one.
func (d *draw) at(r uint64) *Member {
	column, part := bits.Mul64(r, uint64(len(d.members)))
	if d.cut != nil && uint32(part>>32) >= d.cut[column] {
		return &d.members[d.alias[column]]
	}
	return &d.members[column]
}

// scan is the slow path: by weight between those that will do.
func (d *draw) scan(r uint64, tried []Target) Target {
	total := 0
	for i := range d.members {
		if usable(d.members[i].Target, tried) {
			total += d.members[i].Weight
		}
	}
	if total == 0 {
		return nil
	}
	left, _ := bits.Mul64(r, uint64(total))
	var last Target // where one has gone down since
	for i := range d.members {
		m := &d.members[i]
		if !usable(m.Target, tried) {
			continue
		}
		if last = m.Target; left < uint64(m.Weight) { //nolint:gosec // G115: positive
			break
		}
		left -= uint64(m.Weight) //nolint:gosec // G115: positive
	}
	return last
}
