package plot

import "math"

// scale maps values from least..most to pixels from..to.
type scale struct {
	least, most float64
	from, to    float64
	log         bool
}

// at is where v lies, never outside.
func (s *scale) at(v float64) float64 {
	return s.from + min(max(s.share(v), 0), 1)*(s.to-s.from)
}

// share is 0 at least and 1 at most, for values that the axis shows.
func (s *scale) share(v float64) float64 {
	if s.log {
		// The ratio of two values may be beyond what a float holds.
		least := math.Log10(s.least)
		return (math.Log10(v) - least) / (math.Log10(s.most) - least)
	}
	return (v - s.least) / (s.most - s.least)
}

// within reports whether v lies between the ends, or on one but for rounding.
func (s *scale) within(v float64) bool {
	return s.shows(v) && s.share(v) > -1e-3 && s.share(v) < 1+1e-3
}

// newScale spans all values that the axis can show; zero makes a linear one
// include 0. Without values it is 0 to 1, or 1 to 10.
func newScale(values []float64, log, zero bool) *scale {
	s := &scale{least: math.Inf(1), most: math.Inf(-1), log: log}
	for _, v := range values {
		if s.shows(v) {
			s.least, s.most = min(s.least, v), max(s.most, v)
		}
	}
	switch {
	case s.least > s.most && log:
		s.least, s.most = 1, 10
	case s.least > s.most:
		s.least, s.most = 0, 1
	case zero && !log:
		s.least, s.most = min(s.least, 0), max(s.most, 0)
	}
	s.widen()
	return s
}

// shows reports whether v has a place on the axis.
func (s *scale) shows(v float64) bool {
	return finite(v) && (!s.log || v >= 1/largest)
}

// widen makes room between least and most where there is none.
func (s *scale) widen() {
	size := max(math.Abs(s.least), math.Abs(s.most))
	switch {
	case s.log && s.most/s.least < 1.001:
		s.least, s.most = s.least/2, s.most*2
	case !s.log && size < 1/largest:
		s.least, s.most = 0, 1
	case !s.log && s.most-s.least < 1e-6*size:
		s.least, s.most = s.least-size/10, s.most+size/10
	}
}

// round moves the ends out to the next ticks, of which there are about count.
func (s *scale) round(count int) {
	if !s.log {
		step := stepFor(s.least, s.most, count)
		s.least, s.most = math.Floor(s.least/step+1e-9)*step, math.Ceil(s.most/step-1e-9)*step
		return
	}
	below, above := math.Pow(10, math.Floor(math.Log10(s.least))), math.Pow(10, math.Floor(math.Log10(s.most)))
	for _, factor := range []float64{5, 2, 1} {
		if below*factor <= s.least*(1+1e-9) {
			s.least = below * factor
			break
		}
	}
	for _, factor := range []float64{1, 2, 5, 10} {
		if above*factor >= s.most*(1-1e-9) {
			s.most = above * factor
			break
		}
	}
}

// ticks are about count places 1, 2 or 5 times a power of ten apart; on a
// logarithmic axis that are 1, 2 or 5 times a power of ten, or powers only.
func (s *scale) ticks(count int) []Tick {
	if s.log {
		return s.logTicks(count)
	}
	step := stepFor(s.least, s.most, count)
	first, last := math.Ceil(s.least/step-1e-9), math.Floor(s.most/step+1e-9)
	var places []float64
	for i := first; i <= last && len(places) < 4*count; i++ {
		places = append(places, i*step)
	}
	ticks := make([]Tick, len(places))
	for i, label := range formatTicks(places, step) {
		ticks[i] = Tick{places[i], label}
	}
	return ticks
}

func (s *scale) logTicks(count int) (ticks []Tick) {
	first, last := math.Floor(math.Log10(s.least)), math.Ceil(math.Log10(s.most))
	factors := []float64{1, 2, 5}
	if last-first > float64(count)/2 {
		factors = factors[:1]
	}
	every := max(1, math.Ceil((last-first)/float64(count)))
	for exponent := first; exponent <= last; exponent += every {
		for _, factor := range factors {
			at := factor * math.Pow(10, exponent)
			if at >= s.least*(1-1e-9) && at <= s.most*(1+1e-9) {
				ticks = append(ticks, Tick{at, format(at)})
			}
		}
	}
	return ticks
}

// stepFor is 1, 2 or 5 times a power of ten, at least an even count-th.
func stepFor(least, most float64, count int) float64 {
	raw := (most - least) / float64(count)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= raw*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}
