package admin

import "runtime/metrics"

// runtimeFigure is a metric about the Go run time: the sum of some of its own
// figures (package runtime/metrics), under the name of the Prometheus client
// for Go.
type runtimeFigure struct {
	name, kind, help string
	sources          []string
}

const (
	heapObjects  = "/memory/classes/heap/objects:bytes"
	heapUnused   = "/memory/classes/heap/unused:bytes"
	heapFree     = "/memory/classes/heap/free:bytes"
	heapReleased = "/memory/classes/heap/released:bytes"
)

func runtimeFigures() []runtimeFigure {
	return []runtimeFigure{
		{"go_goroutines", gauge, "Goroutines that exist.", []string{"/sched/goroutines:goroutines"}},
		{"go_sched_gomaxprocs_threads", gauge, "GOMAXPROCS.", []string{"/sched/gomaxprocs:threads"}},
		{"go_memstats_heap_alloc_bytes", gauge, "Heap in use by objects.", []string{heapObjects}},
		{"go_memstats_heap_inuse_bytes", gauge, "Heap in spans that hold objects.", []string{heapObjects, heapUnused}},
		{"go_memstats_heap_idle_bytes", gauge, "Heap that waits to be used.", []string{heapFree, heapReleased}},
		{"go_memstats_heap_released_bytes", gauge, "Heap given back to the system.", []string{heapReleased}},
		{"go_memstats_heap_sys_bytes", gauge, "Heap obtained from the system.", []string{heapObjects, heapUnused, heapFree, heapReleased}},
		{"go_memstats_heap_objects", gauge, "Objects on the heap.", []string{"/gc/heap/objects:objects"}},
		{"go_memstats_alloc_bytes_total", counter, "Memory allocated, freed or not.", []string{"/gc/heap/allocs:bytes"}},
		{"go_memstats_next_gc_bytes", gauge, "Size of the heap at which the next collection ends.", []string{"/gc/heap/goal:bytes"}},
		{"go_memstats_sys_bytes", gauge, "Memory obtained from the system.", []string{"/memory/classes/total:bytes"}},
		{"go_gc_cycles_total", counter, "Garbage collections completed.", []string{"/gc/cycles/total:gc-cycles"}},
		{"go_gc_cpu_seconds_total", counter, "Processor time spent on garbage collection, estimated.", []string{"/cpu/classes/gc/total:cpu-seconds"}},
		{"go_mutex_wait_seconds_total", counter, "Time that goroutines have waited for locks.", []string{"/sync/mutex/wait/total:seconds"}},
	}
}

// runtime writes the figures above; one that a version of Go doesn't know is
// left out.
func (m *scrape) runtime() {
	figures := runtimeFigures()
	var samples []metrics.Sample
	for i := range figures {
		for _, source := range figures[i].sources {
			samples = append(samples, metrics.Sample{Name: source})
		}
	}
	metrics.Read(samples)
	for i := range figures {
		f := &figures[i]
		sum, known := 0.0, true
		for _, s := range samples[:len(f.sources)] {
			switch s.Value.Kind() {
			case metrics.KindUint64:
				sum += float64(s.Value.Uint64())
			case metrics.KindFloat64:
				sum += s.Value.Float64()
			default:
				known = false
			}
		}
		samples = samples[len(f.sources):]
		if known {
			m.family(f.name, f.kind, f.help)
			m.float(sum)
		}
	}
}
