package admin

import (
	"math"
	"strconv"
)

// exposition writes metrics in the Prometheus text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/), into one
// buffer: 10,000 tenants have half a million lines.
type exposition struct {
	buf  []byte
	name string // of the family that is being written
}

// Types of families.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// family begins a family; its samples must follow before the next one. help
// has no line breaks and no backslashes.
func (e *exposition) family(name, kind, help string) {
	e.name = name
	e.buf = append(append(append(e.buf, "# HELP "...), name...), ' ')
	e.buf = append(append(e.buf, help...), "\n# TYPE "...)
	e.buf = append(append(append(e.buf, name...), ' '), kind...)
	e.buf = append(e.buf, '\n')
}

// uint writes a sample; labels are as label returns them, "" is none.
func (e *exposition) uint(v uint64, labels ...string) {
	e.series("", labels)
	e.buf = append(strconv.AppendUint(e.buf, v, 10), '\n')
}

func (e *exposition) int(v int64, labels ...string) {
	e.series("", labels)
	e.buf = append(strconv.AppendInt(e.buf, v, 10), '\n')
}

func (e *exposition) float(v float64, labels ...string) {
	e.series("", labels)
	e.number(v)
}

func (e *exposition) bool(v bool, labels ...string) {
	n := uint64(0)
	if v {
		n = 1
	}
	e.uint(n, labels...)
}

// buckets writes a histogram: counts that are not cumulated, one for each
// bound, which are labels, and the sum of all values.
func (e *exposition) buckets(counts []uint64, bounds []string, sum float64, labels string) {
	total := uint64(0)
	for i, n := range counts {
		total += n
		e.series("_bucket", []string{labels, bounds[i]})
		e.buf = append(strconv.AppendUint(e.buf, total, 10), '\n')
	}
	e.series("_sum", []string{labels})
	e.number(sum)
	e.series("_count", []string{labels}) // what the last bucket says, whatever has been counted since
	e.buf = append(strconv.AppendUint(e.buf, total, 10), '\n')
}

func (e *exposition) series(suffix string, labels []string) {
	e.buf = append(append(e.buf, e.name...), suffix...)
	open := byte('{')
	for _, l := range labels {
		if l == "" {
			continue
		}
		e.buf = append(append(e.buf, open), l...)
		open = ','
	}
	if open == ',' {
		e.buf = append(e.buf, '}')
	}
	e.buf = append(e.buf, ' ')
}

func (e *exposition) number(v float64) { e.buf = append(appendNumber(e.buf, v), '\n') }

func appendNumber(dst []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-Inf"...)
	case math.Abs(v) >= 1e-6 && math.Abs(v) < 1e15:
		return strconv.AppendFloat(dst, v, 'f', -1, 64) // people read it too
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64) // NaN is "NaN"
}

// label returns name="value", escaped.
func label(name, value string) string {
	dst := append(append(make([]byte, 0, len(name)+len(value)+3), name...), `="`...)
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = append(dst, c)
		}
	}
	return string(append(dst, '"'))
}
