package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width is below 1.6 % of their
// value. Its zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	counts [buckets]int64
	total  int64
	sum    time.Duration
	most   time.Duration
}

const (
	fineBits = 6 // of a value's leading bits that name its bucket
	fine     = 1 << fineBits
	buckets  = fine * (64 - fineBits)
)

// Add counts a duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.total++
	h.sum += d
	h.most = max(h.most, d)
}

// Merge adds what another histogram has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.sum += other.sum
	h.most = max(h.most, other.most)
}

// Count is how many durations have been added.
func (h *Histogram) Count() int64 { return h.total }

// Max is the longest of them.
func (h *Histogram) Max() time.Duration { return h.most }

// Mean is their mean, 0 if there are none.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return h.sum / time.Duration(h.total)
}

// Quantile is the duration that the share q of all, from 0 to 1, does not
// exceed: the upper end of a bucket, so it errs upwards. 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	wanted := int64(q*float64(h.total) + 0.5)
	if wanted >= h.total {
		return h.most
	}
	seen := int64(0)
	for i, n := range h.counts {
		if seen += n; seen >= wanted && n > 0 {
			return min(upperEnd(i), h.most)
		}
	}
	return h.most
}

// bucketOf finds the bucket: values below fine have one each; beyond, each
// power of two has fine of them.
func bucketOf(d time.Duration) int {
	v := uint64(d) //nolint:gosec // G115: Add lets nothing negative through
	if v < fine {
		return int(v)
	}
	shift := bits.Len64(v) - fineBits - 1
	return fine*(shift+1) + int(v>>shift) - fine //nolint:gosec // G115: below 2 × fine
}

// upperEnd is the largest value of a bucket.
func upperEnd(bucket int) time.Duration {
	if bucket < fine {
		return time.Duration(bucket)
	}
	shift := bucket/fine - 1
	return time.Duration((bucket%fine+fine+1)<<shift - 1)
}
