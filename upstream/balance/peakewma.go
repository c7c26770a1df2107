package balance

// Timed is a Target that knows how long it takes.
type Timed interface {
	Target
	// Latency is how long it takes to answer, in nanoseconds; 0 is that it has not
	// answered yet, or not for long.
	Latency() float64
}

// PeakEWMA draws two targets by weight, and takes the one that is expected to answer
// first: by how long it has taken lately, slow answers at once and quick ones little by
// little, times the requests that it is busy with. Targets that aren't Timed are taken
// for equally fast.
func PeakEWMA(source Source) Algorithm {
	source = source.orDefault()
	return Algorithm{Name: "peak_ewma", Times: true, New: func(members []Member, _ Picker) Picker {
		p := &peakEWMA{draw: newDraw(members), source: source}
		if len(p.members) > 0 {
			p.mean = float64(p.total) / float64(len(p.members))
		}
		return p
	}}
}

type peakEWMA struct {
	draw
	source Source
	mean   float64 // weight
}

func (p *peakEWMA) Pick(_ uint64, tried []Target) Target {
	if len(p.members) == 0 {
		return nil
	}
	a, b := p.two(p.source)
	fit, other := usable(a.Target, tried), usable(b.Target, tried)
	switch {
	case fit && (!other || a == b || p.cost(a) <= p.cost(b)):
		return a.Target
	case other:
		return b.Target
	}
	return p.scan(p.source(), tried)
}

// unknown is the cost of a target that has not answered yet and is busy with a first
// request: it gets no more until then.
const unknown = 1e18

// cost is how long a request would take. By weight targets are drawn, so that it counts
// here only for what they are busy with.
func (p *peakEWMA) cost(m *Member) float64 {
	active := float64(m.Target.Active()) * p.mean / float64(m.Weight)
	latency := 1.0
	if t, ok := m.Target.(Timed); ok {
		if latency = t.Latency(); latency == 0 && active > 0 {
			return unknown * (1 + active)
		}
	}
	return latency * (1 + active)
}
