package test

import (
	"bufio"
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// assault is a constant rate of requests to one tenant of a duel.
type assault struct {
	*duel
	rate   int // requests a second
	host   string
	path   string
	victim bool // the requests are askVictim's
	most   int  // in flight; 0 is mostInFlight

	quit    chan struct{}
	ended   sync.WaitGroup
	mu      sync.Mutex
	took    []time.Duration
	results map[string]int // statuses and errors
	failure error          // the first of the victim's
}

// mostInFlight bounds the requests of an assault that wait for an answer; what
// is due beyond is not sent.
const mostInFlight = 500

// start begins to send.
func (a *assault) start() {
	a.quit, a.results = make(chan struct{}), map[string]int{}
	free := make(chan struct{}, cmp.Or(a.most, mostInFlight))
	a.ended.Go(func() {
		began := time.Now()
		for n := 0; ; n++ {
			due := began.Add(time.Duration(n) * time.Second / time.Duration(a.rate))
			select {
			case <-a.quit:
				if n > 0 { // one is sent in any case
					return
				}
			case <-time.After(time.Until(due)):
			}
			select {
			case free <- struct{}{}:
				a.ended.Go(func() {
					a.one(n, due)
					<-free
				})
			default:
			}
		}
	})
}

// volley sends that many at once, and waits for the answers.
func (a *assault) volley(requests int) {
	if a.results == nil {
		a.results = map[string]int{}
	}
	for n := range requests {
		a.ended.Go(func() { a.one(n, time.Now()) })
	}
	a.ended.Wait()
}

// stop sends no more, and waits for the answers.
func (a *assault) stop() {
	close(a.quit)
	a.ended.Wait()
	slices.Sort(a.took)
}

func (a *assault) one(n int, due time.Time) {
	result := "ok"
	var failure error
	if a.victim {
		if failure = a.askVictim(n); failure != nil {
			result = "failed"
		}
	} else {
		status, _, err := a.ask(a.host, a.path)
		if result = strconv.Itoa(status); err != nil {
			result = "error " + err.Error()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, time.Since(due))
	a.results[result]++
	if a.failure == nil {
		a.failure = failure
	}
}

// answered is how many requests have been answered so far.
func (a *assault) answered() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.took)
}

// quantile is that of how long answers took, from when requests were due.
func (a *assault) quantile(q float64) time.Duration {
	if len(a.took) == 0 {
		return 0
	}
	return a.took[int(q*float64(len(a.took)-1))].Round(10 * time.Microsecond)
}

func (a *assault) summary() string { return fmt.Sprint(a.results, ", the slowest ", a.quantile(1)) }

// judge demands that the victim saw no error, and that every request of an
// attacker got an answer: that the script failed, or what the attack allows.
func (a *assault) judge(t *testing.T, what *attack) {
	t.Helper()
	if a.victim {
		if a.failure != nil || len(a.took) == 0 {
			t.Errorf("%d of %d requests of the victim failed, the first: %v", a.results["failed"], len(a.took), a.failure)
		}
		return
	}
	for result := range a.results {
		switch result {
		case "500", "503", strconv.Itoa(what.ends):
		default:
			t.Errorf("%s: %s, expected 500, 503 or %d", what.name, a.summary(), what.ends)
			return
		}
	}
}

// watcher notes how much memory a gateway takes at most.
type watcher struct {
	d              *duel
	quit, ended    chan struct{}
	mu             sync.Mutex
	heap, resident int64  // the most so far
	during         string // what goes on
	highest        string // what went on then
}

// watch begins to look, every 20 ms.
func watch(t *testing.T, d *duel) *watcher {
	t.Helper()
	w := &watcher{d: d, quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for {
			select {
			case <-w.quit:
				return
			case <-time.After(20 * time.Millisecond):
				w.look()
			}
		}
	}()
	return w
}

// now says what goes on from now on.
func (w *watcher) now(during string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.during = during
}

func (w *watcher) look() {
	response, err := http.Get("http://" + w.d.admin + "/metrics") // #nosec G107 -- the gateway that this test started
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_memstats_heap_alloc_bytes "); ok {
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				w.note(int64(n))
			}
		}
	}
}

func (w *watcher) note(heap int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resident = max(w.resident, residentOf(w.d.command.Process.Pid))
	if heap > w.heap {
		w.heap, w.highest = heap, w.during
	}
}

// end stops looking, and demands that the heap stayed within its bound.
func (w *watcher) end(t *testing.T) {
	t.Helper()
	close(w.quit)
	<-w.ended
	w.look()
	if w.heap > maxHeap {
		t.Errorf("the heap had up to %d MiB during %q (%d MiB were resident), expected at most %d", w.heap>>20, w.highest, w.resident>>20, maxHeap>>20)
	}
}

// cpuOf returns the processor time that a process has used; what the clock says
// where the system doesn't tell.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ") // behind the name of the command
	fields := strings.Fields(after)
	if err != nil || len(fields) < 13 {
		return time.Duration(time.Now().UnixNano())
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ
}

// residentOf returns the memory of a process, in bytes; 0 where the system
// doesn't say.
func residentOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
