package modules_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func metricsVM(tb testing.TB, m *modules.Metrics) *glua.LState {
	tb.Helper()
	L, _ := vmtest.Begin(tb, vmtest.Limits())
	L.SetGlobal("metrics", vm.Freeze(L, "metrics", modules.OpenOne(L, &modules.Tenant{Metrics: m}, "metrics")))
	L.SetGlobal("z1000", glua.LString(strings.Repeat("z", 1000)))
	L.SetGlobal("assert", L.NewFunction(func(L *glua.LState) int {
		if !L.ToBool(1) {
			L.RaiseError("it isn't so")
		}
		return 0
	}))
	return L
}

// TestMetrics calls each function rightly and wrongly.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := &modules.Metrics{}
	L := metricsVM(t, m)
	for _, c := range []struct{ script, wrong string }{
		{script: `metrics.add("orders")`},
		{script: `metrics:add("orders_total", 2.5)`},
		{script: `metrics.add("orders", 1, {b = 1, a = "x\"\\\ny", c = true})`},
		{script: `metrics.set("depth", -3)`},
		{script: `metrics.set("depth", 4, {queue = z1000})`},
		{script: `assert(metrics.get("orders") == 3.5 and metrics.get("orders_total") == 3.5 and metrics.get("depth") == -3 and metrics.get("none") == nil)`},
		{script: `assert(metrics.get("orders", {c = true, a = "x\"\\\ny", b = 1}) == 1)`},
		{script: `metrics.add("orders", -1)`, wrong: "a counter only grows"},
		{script: `metrics.add("orders", 0/0)`, wrong: "a finite number expected"},
		{script: `metrics.set("depth")`, wrong: "value expected"},
		{script: `metrics.set("depth", 1/0)`, wrong: "a finite number expected"},
		{script: `metrics.set("x_total", 1)`, wrong: "is a counter's"},
		{script: `metrics.add("")`, wrong: "can't be a metric's name"},
		{script: `metrics.add("9lives")`, wrong: "can't be a metric's name"},
		{script: `metrics.add("a b{c=\"d\"} 1\n")`, wrong: "can't be a metric's name"},
		{script: `metrics.add("a23456789012345678901234567890123456789012345678901234567890123456")`, wrong: "can't be a metric's name"},
		{script: `metrics.add("a", 1, {tenant = "other"})`, wrong: "can't be a label's name"},
		{script: `metrics.add("a", 1, {["a=\"1\",b"] = "x"})`, wrong: "can't be a label's name"},
		{script: `metrics.add("a", 1, {"x"})`, wrong: "can't be a label's name"},
		{script: `metrics.add("a", 1, {a = {}})`, wrong: "must be a string, a number or a boolean"},
		{script: `metrics.add("a", 1, {a = 1, b = 2, c = 3, d = 4, e = 5})`, wrong: "too many labels"},
	} {
		switch err := L.DoString(c.script); {
		case c.wrong == "" && err != nil, c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: error %v, want %q", c.script, err, c.wrong)
		}
	}
	var got []string
	for _, s := range m.Samples() {
		got = append(got, fmt.Sprintf("%s{%s} %v", s.Name, s.Labels, s.Value))
	}
	want := []string{
		`depth{} -3`, `depth{queue="` + strings.Repeat("z", 128) + `"} 4`, `orders_total{} 3.5`, `orders_total{a="x\"\\\ny",b="1",c="true"} 1`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestMetricsAreBounded makes more series than there may be, of few names, of
// many names and with long labels, in several VMs at once.
func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"labels": `for i = 1, 2000 do metrics.add("a", 1, {i = i}) end`,
		"names":  `for i = 1, 2000 do metrics.add("a" .. i) end`,
		"long":   `for i = 1, 2000 do metrics.set("a", i, {a = i .. z1000, b = z1000, c = z1000, d = z1000}) end`,
	} {
		m := &modules.Metrics{}
		var wait sync.WaitGroup
		for range 2 {
			L := metricsVM(t, m)
			wait.Go(func() {
				if err := L.DoString(script); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wait.Wait()
		size, sum := 0, 0.0
		for _, s := range m.Samples() {
			size += len(s.Name) + len(s.Labels)
			sum += s.Value
		}
		if n := len(m.Samples()); n == 0 || n > 500 || size > 64<<10 || m.Dropped.Load() == 0 {
			t.Errorf("%s: %d series of %d bytes, %d updates dropped", name, n, size, m.Dropped.Load())
		}
		if name != "long" && sum+float64(m.Dropped.Load()) != 4000 {
			t.Errorf("%s: %v counted and %d dropped, want 4000 together", name, sum, m.Dropped.Load())
		}
	}
}
