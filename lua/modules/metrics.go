package modules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// What the metrics of one tenant's scripts may be.
const (
	metricsMaxSeries = 500
	metricsMaxNames  = 50
	metricsMaxBytes  = 64 << 10 // of names, labels and what Go takes for them
	metricsMaxName   = 64
	metricsMaxLabels = 4
	metricsMaxLabel  = 32  // bytes of a label's name
	metricsMaxValue  = 128 // bytes of a label's value
	metricsSeries    = 100 // bytes that a series is reckoned to take besides its texts
)

// Metrics are the counters and gauges of one tenant's scripts. The zero value is
// ready. Its methods may be called at once.
type Metrics struct {
	mu     sync.Mutex
	series map[string]*float64 // by name and labels, as in the text format; guarded by mu, as are those below
	names  map[string]int      // how many series have it
	bytes  int

	// Dropped counts updates of series that there was no room for.
	Dropped atomic.Uint64
}

// MetricSample is one series: `name` or `name{label="value"}`, and its value.
type MetricSample struct {
	Name, Labels string // Labels without braces
	Value        float64
}

// Samples returns all series, sorted by name and labels.
func (m *Metrics) Samples() []MetricSample {
	m.mu.Lock()
	list := make([]MetricSample, 0, len(m.series))
	for key, value := range m.series {
		name, labels, _ := strings.Cut(key, "{")
		list = append(list, MetricSample{name, labels, *value})
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b MetricSample) int {
		return strings.Compare(a.Name+"{"+a.Labels, b.Name+"{"+b.Labels)
	})
	return list
}

// Get returns the value of a series, if there is one.
func (m *Metrics) Get(name, labels string) (value float64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.series[name+"{"+labels]
	if at == nil {
		return 0, false
	}
	return *at, true
}

// update calls f with the value of a series, which is made if there is room.
func (m *Metrics) update(name, labels string, f func(value *float64)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := name + "{" + labels
	at := m.series[key]
	if at == nil {
		size := metricsSeries + len(key)
		if len(m.series) >= metricsMaxSeries || m.names[name] == 0 && len(m.names) >= metricsMaxNames || m.bytes+size > metricsMaxBytes {
			m.Dropped.Add(1)
			return
		}
		if m.series == nil {
			m.series, m.names = map[string]*float64{}, map[string]int{}
		}
		at = new(float64)
		m.series[strings.Clone(key)] = at
		m.names[strings.Clone(name)]++
		m.bytes += size
	}
	f(at)
}

// openMetrics makes the module metrics: counters and gauges of the tenant's
// own, which the admin API's /metrics shows as script_NAME with the label
// tenant. They live as long as the process, across reloads, for all shards
// together. A tenant has at most 500 series of 50 names; updates of further
// ones are dropped and counted. metrics:add(name) works as metrics.add(name)
// does, and so on.
func openMetrics(L *glua.LState, t *Tenant) *glua.LTable {
	m := t.Metrics
	if m == nil {
		m = &Metrics{}
	}
	return L.SetFuncs(L.CreateTable(0, 3), map[string]glua.LGFunction{
		"add": m.luaAdd, "set": m.luaSet, "get": m.LuaGet,
	})
}

// metrics.add(name, amount?, labels?): adds to a counter: 1, or an amount of 0
// or more. Its name gets "_total" at its end if it has none. labels is a table
// of at most 4 names and values.
func (m *Metrics) luaAdd(L *glua.LState) int {
	skipSelf(L)
	name, amount, labels := metricName(L), finite(L, 2, 1), metricLabels(L, 3)
	if amount < 0 {
		vm.ArgError(L, 2, "a counter only grows: expected 0 or more (metrics.set is for what can fall)")
	}
	m.update(counterName(name), labels, func(value *float64) {
		if sum := *value + amount; !math.IsInf(sum, 0) {
			*value = sum
		}
	})
	return 0
}

// metrics.set(name, value, labels?): sets a gauge, whose name doesn't end with
// "_total".
func (m *Metrics) luaSet(L *glua.LState) int {
	skipSelf(L)
	name := metricName(L)
	if strings.HasSuffix(name, counterSuffix) {
		vm.ArgError(L, 1, `a name that ends with "_total" is a counter's: expected another one, or metrics.add`)
	}
	vm.CheckAny(L, 2)
	number, labels := finite(L, 2, 0), metricLabels(L, 3)
	m.update(name, labels, func(value *float64) { *value = number })
	return 0
}

// LuaGet is metrics.get, and what tests of scripts ask with.
//
// metrics.get(name, labels?) -> number | nil: the value of a gauge or a counter;
// nil if there is none.
func (m *Metrics) LuaGet(L *glua.LState) int {
	skipSelf(L)
	name, labels := metricName(L), metricLabels(L, 2)
	value, ok := m.Get(name, labels)
	if !ok {
		value, ok = m.Get(counterName(name), labels)
	}
	if !ok {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(glua.LNumber(value))
	return 1
}

const counterSuffix = "_total"

func counterName(name string) string {
	return strings.TrimSuffix(name, counterSuffix) + counterSuffix
}

// metricName checks the first argument.
func metricName(L *glua.LState) string {
	name := vm.CheckString(L, 1)
	if !isMetricWord(name, metricsMaxName) {
		vm.ArgError(L, 1, fmt.Sprintf("%.80q can't be a metric's name: expected letters, digits and _, %d at most, and no digit first", name, metricsMaxName))
	}
	return name
}

func isMetricWord(s string, most int) bool {
	if s == "" || len(s) > most || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// metricLabels returns the labels of an argument in the text format, sorted.
func metricLabels(L *glua.LState, n int) string {
	table := vm.OptTable(L, n, nil)
	run := vm.RunOf(L)
	run.Spend(L, 50)
	if table == nil {
		return ""
	}
	run.Charge(L, 1<<10)
	var parts []string
	for k, v := vm.Next(L, table, glua.LNil); k != glua.LNil; k, v = vm.Next(L, table, k) {
		run.Spend(L, 20)
		name, ok := k.(glua.LString)
		if !ok || !isMetricWord(string(name), metricsMaxLabel) || strings.HasPrefix(string(name), "__") || name == "tenant" || name == "le" || name == "quantile" {
			vm.ArgError(L, n, fmt.Sprintf("%.80q can't be a label's name: expected letters, digits and _, %d at most, and none of tenant, le, quantile", vm.Text(k), metricsMaxLabel))
		}
		if parts = append(parts, string(name)+"=\""+metricValue(L, n, v)+"\""); len(parts) > metricsMaxLabels {
			vm.ArgError(L, n, fmt.Sprintf("too many labels: expected %d at most", metricsMaxLabels))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

var metricEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// metricValue is a label's value, cut to what it may be, and escaped.
func metricValue(L *glua.LState, n int, v glua.LValue) string {
	switch v.Type() {
	case glua.LTString, glua.LTNumber, glua.LTBool:
	default:
		vm.ArgError(L, n, "a label's value must be a string, a number or a boolean, not a "+v.Type().String())
	}
	text := vm.Text(v)
	text = strings.ToValidUTF8(text[:min(len(text), metricsMaxValue)], "")
	return metricEscapes.Replace(text)
}
