package balance

import (
	"cmp"
	"slices"
)

// First sends all requests to the targets of the first tier that has one which will do,
// and shares them there as another algorithm says: the others stand by.
func First(within Algorithm) Algorithm {
	return Algorithm{Name: "first", Times: within.Times, New: func(members []Member, before Picker) Picker {
		old, _ := before.(*first)
		return newFirst(members, within, old)
	}}
}

type first struct {
	tiers []tier // in order
}

type tier struct {
	number int
	picker Picker
}

func newFirst(members []Member, within Algorithm, old *first) *first {
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b Member) int { return cmp.Compare(a.Tier, b.Tier) })
	p := new(first)
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Tier == sorted[0].Tier {
			n++
		}
		p.tiers = append(p.tiers, tier{sorted[0].Tier, within.New(sorted[:n:n], old.of(sorted[0].Tier))})
		sorted = sorted[n:]
	}
	return p
}

// of is the picker of a tier, or nil.
func (p *first) of(number int) Picker {
	if p != nil {
		for i := range p.tiers {
			if p.tiers[i].number == number {
				return p.tiers[i].picker
			}
		}
	}
	return nil
}

func (p *first) Pick(key uint64, tried []Target) Target {
	for i := range p.tiers {
		if t := p.tiers[i].picker.Pick(key, tried); t != nil {
			return t
		}
	}
	return nil
}
