package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// hoardingScript fills its memory while it is loaded, and then waits.
const hoardingScript = `
KEPT = {}
for i = 1, 8 do KEPT[i] = string.rep("x", 1000000 + i) end
http.get("http://%s/", {timeout = 50})
chi_route("GET", "/*", function(request, response) response:write(tostring(#KEPT)) end)
-- %d`

// TestMemoryOfLoads: whatever many tenants' scripts hold while they are loaded,
// at a start and at a reload, and afterwards, the process keeps to its memory
// and another tenant is served; they all are loaded as soon as there is memory.
func TestMemoryOfLoads(t *testing.T) {
	t.Parallel()
	const limit, many = 128, 20 // MiB, tenants
	var waiting atomic.Int64
	var gate atomic.Pointer[chan struct{}]
	closeGate := func() { c := make(chan struct{}); gate.Store(&c) }
	closeGate()
	upstream := serveFunc(t, func(_ http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		defer waiting.Add(-1)
		select {
		case <-*gate.Load():
		case <-r.Context().Done():
		}
	})
	scripts := t.TempDir()
	write := func(round int) {
		for i := range many {
			if err := os.WriteFile(filepath.Join(scripts, fmt.Sprintf("h%d.lua", i)), fmt.Appendf(nil, hoardingScript, upstream, round), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(1)
	if err := os.WriteFile(filepath.Join(scripts, "light.lua"), []byte(lightScript), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: %s}\ntenants:\n", scripts)
	for i := range many {
		config += fmt.Sprintf("  - {name: h%d, domains: [h%d.test], lua_routes: [h%d.lua], lua: {load_timeout: 1m, timeout: 20s, http: {allow: [127.0.0.0/8]}}}\n", i, i, i)
	}
	config += "  - {name: light, domains: [light.test], lua_routes: [light.lua], lua: {" + patientLua + "}}\n"
	g := startGateway(t, config, fmt.Sprintf("GOMEMLIMIT=%dMiB", limit))
	check := func(when string) {
		t.Helper()
		if err := askLight(g.address); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if most := int64(limit+64) << 20; peakMemory(t, g) > most && !raceEnabled {
			t.Errorf("%s: the process had %d MiB at its peak, want at most %d", when, peakMemory(t, g)>>20, most>>20)
		}
	}
	generation := 0
	broken := func() (names []string, errors string) {
		response, err := http.Get("http://" + g.admin + "/admin/snapshot")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var snapshot struct {
			Generation int
			Failed     []struct {
				Tenant string
				State  string
				Errors []string
			} `json:"tenants_failed"`
		}
		if err := json.NewDecoder(response.Body).Decode(&snapshot); err != nil {
			t.Fatal(err)
		}
		generation = snapshot.Generation
		for _, failed := range snapshot.Failed {
			names = append(names, failed.Tenant+" "+failed.State)
			errors += strings.Join(failed.Errors, "\n") + "\n"
		}
		return names, errors
	}
	if waiting.Load() == 0 {
		eventually(t, patience, "scripts wait while they are loaded", func() bool { return waiting.Load() > 0 })
	}
	check("while scripts wait")
	eventually(t, patience, "some are given up", func() bool {
		_, errors := broken()
		return strings.Contains(errors, "memory is short, the load is given up")
	})
	if _, errors := broken(); !strings.Contains(errors, ".lua:4: ") && !strings.Contains(errors, ".lua:3: ") {
		t.Errorf("errors don't say where: %s", errors)
	}
	check("while some are given up")
	close(*gate.Load())
	eventually(t, patience, "all are loaded", func() bool { names, _ := broken(); return len(names) == 0 })
	check("when all are loaded")
	answers := map[string]int{}
	for range 3 {
		for i := range many {
			answers[askHoarder(t, g.address, i)]++
		}
	}
	if answers["200 8"] == 0 || answers["200 8"]+answers["503 script_memory"] != 3*many {
		t.Errorf("answers: %v", answers)
	}
	check("when they have been used")
	before := generation
	closeGate()
	write(2)
	if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "scripts wait while they are loaded again", func() bool { return waiting.Load() > 0 })
	check("during a reload")
	close(*gate.Load())
	eventually(t, patience, "all are loaded again", func() bool { names, _ := broken(); return len(names) == 0 && generation > before })
	check("after a reload")
}

func askHoarder(t *testing.T, address string, i int) string {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = fmt.Sprintf("h%d.test", i)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if code := response.Header.Get("X-Gateway-Error"); code != "" {
		return fmt.Sprint(response.StatusCode, " ", code)
	}
	return fmt.Sprint(response.StatusCode, " ", string(body))
}
