package admin

import (
	"maps"
	"math"
	"runtime"
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// scrape is one answer to /metrics.
type scrape struct {
	exposition
	bounds  []string // labels of the histograms' buckets
	tenants []tenantSeries
	targets []targetSeries
	pools   []poolSeries
	named   bool // some tenant's section has pools
	scripts []scriptSeries
	broken  []brokenSeries
	refused int // tenants whose requests are refused
	stale   int // tenants of which the last good generation is served
}

// brokenSeries are the labels of a tenant that isn't served as the configuration
// asks for.
type brokenSeries struct{ tenant, state string }

// maxBroken bounds the tenants with a series of their own for that.
const maxBroken = 100

// scriptSeries are the figures of one tenant's scripts with their label.
type scriptSeries struct {
	label string
	stats *lua.Stats
	vms   int
	held  int // in quarantine
}

// tenantSeries are the counters of one tenant with their label.
type tenantSeries struct {
	label    string
	stats    *exchange.Stats
	policies *policy.Chain
}

// targetSeries are the counters of one target with their labels.
type targetSeries struct {
	labels string
	target *upstream.Target
}

func (a *API) getMetrics(ctx *fasthttp.RequestCtx) {
	m := scrape{exposition: exposition{buf: make([]byte, 0, a.scrapeSize.Load()+4096)}}
	view, counters := a.server.Snapshot(), a.server.Counters()
	m.collect(&view, &counters)
	m.requests()
	m.durations()
	m.memory(a.server.Memory())
	m.health()
	m.resilience()
	m.lua()
	m.server(&counters)
	m.listeners(a.server.Listeners())
	m.certificates(a.server.Certificates())
	m.files(a.server.BrokenFiles())
	m.ordered(a.server.ACME())
	m.store(a.server.SharedStore())
	m.reloads(&view, &counters, a.server.LastReload())
	m.process(a.started)
	m.runtime()
	m.family("keystone_build_info", gauge, "The version that runs; the value is always 1.")
	m.uint(1, label("version", a.version), label("goversion", runtime.Version()))
	a.scrapeSize.Store(int64(len(m.buf)))
	ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	ctx.Response.SetBodyRaw(m.buf)
}

// collect lists the series, in the order of the configuration. Requests that
// reached no tenant have the label tenant="".
func (m *scrape) collect(view *proxy.SnapshotView, counters *proxy.Counters) {
	m.tenants = make([]tenantSeries, 0, len(view.Tenants)+1)
	m.tenants = append(m.tenants, tenantSeries{label: label("tenant", ""), stats: counters.Unrouted})
	for i := range view.Tenants {
		t := &view.Tenants[i]
		tenant := label("tenant", t.Name)
		m.tenants = append(m.tenants, tenantSeries{tenant, t.Stats, t.Policies})
		if t.Lua != nil {
			m.scripts = append(m.scripts, scriptSeries{tenant, t.Lua.Stats(), t.Lua.VMs(), t.Lua.InQuarantine()})
		}
		m.collectBroken(t, tenant)
		m.collectTargets(t, tenant)
	}
	for _, bound := range append(exchange.HistogramBounds[:], math.Inf(1)) {
		m.bounds = append(m.bounds, label("le", string(appendNumber(nil, bound))))
	}
}

func (m *scrape) collectBroken(t *proxy.TenantView, tenant string) {
	var state string
	switch {
	case t.Refused():
		state = misconfigured
		m.refused++
	case t.Problem != nil:
		state = t.Problem.State
		m.stale++
	default:
		return
	}
	if len(m.broken) < maxBroken {
		m.broken = append(m.broken, brokenSeries{tenant, label("state", state)})
	}
}

// requests are the counters of tenants.
func (m *scrape) requests() {
	m.family("keystone_requests_total", counter, "Requests that have ended, by the first digit of their status; tenant=\"\" reached no tenant.")
	classes := [len(exchange.Stats{}.Classes)]string{}
	for class := range classes {
		classes[class] = label("class", className(class))
	}
	for _, t := range m.tenants {
		for class := 1; class < len(classes); class++ {
			m.uint(t.stats.Classes[class].Load(), t.label, classes[class])
		}
	}
	m.family("keystone_errors_total", counter, "Requests that have ended with an error, by its code; docs/http.md lists them. Codes that have not occurred are left out.")
	for _, t := range m.tenants {
		t.stats.Errors(func(code string, requests uint64) { m.uint(requests, t.label, label("code", code)) })
	}
	m.policies()
	m.family("keystone_request_bytes_total", counter, "Content received from clients.")
	for _, t := range m.tenants {
		m.int(t.stats.BytesIn.Load(), t.label)
	}
	m.family("keystone_response_bytes_total", counter, "Content sent to clients.")
	for _, t := range m.tenants {
		m.int(t.stats.BytesOut.Load(), t.label)
	}
	m.family("keystone_retries_total", counter, "Requests sent to a second target after a first had failed them.")
	for _, t := range m.tenants {
		m.uint(t.stats.Retries.Load(), t.label)
	}
}

// policies are what they have decided.
func (m *scrape) policies() {
	m.family("keystone_policy_decisions_total", counter, "Decisions of policies about requests, by the policy's name: passed, answered, or failed where there was no decision; would_answer are those of passed that a dry run has spared.")
	for _, t := range m.tenants {
		t.policies.Kinds(func(name string, decisions *policy.Counter) {
			kind := label("policy", name)
			m.uint(decisions.Passed.Load(), t.label, kind, label("decision", "passed"))
			m.uint(decisions.Answered.Load(), t.label, kind, label("decision", "answered"))
			m.uint(decisions.Failed.Load(), t.label, kind, label("decision", "failed"))
			if n := decisions.WouldAnswer.Load(); n > 0 {
				m.uint(n, t.label, kind, label("decision", "would_answer"))
			}
		})
	}
}

func (m *scrape) durations() {
	m.family("keystone_request_duration_seconds", histogram, "From the first byte of a request to the last of its response; without tunnels.")
	for _, t := range m.tenants {
		m.histogram(&t.stats.Duration, t.label)
	}
	m.family("keystone_upstream_duration_seconds", histogram, "From sending a request to a target to the head of its response.")
	for _, t := range m.tenants[1:] { // what reaches no tenant reaches no target
		m.histogram(&t.stats.Upstream, t.label)
	}
}

func (m *scrape) histogram(h *exchange.Histogram, label string) {
	counts, sum := h.Read()
	m.buckets(counts[:], m.bounds, sum, label)
}

// memory is what requests hold outside of scripts.
func (m *scrape) memory(v proxy.MemoryView) {
	m.family("keystone_memory_held_bytes", gauge, "Memory that a tenant's requests hold outside of scripts; tenant=\"\" is that of connections, and of requests that reached no tenant.")
	for _, t := range m.tenants {
		m.int(t.stats.Memory.Used(), t.label)
	}
	m.family("keystone_memory_refused_total", counter, "Times that a tenant's requests were refused memory (503 script_memory) or had to do with less.")
	for _, t := range m.tenants {
		m.uint(t.stats.Memory.Refused(), t.label)
	}
	m.family("keystone_memory_shedding", gauge, "Whether a tenant is being relieved of memory, because the gateway has too little and it holds most.")
	for _, t := range m.tenants[1:] {
		m.bool(t.stats.Memory.Shedding(), t.label)
	}
	m.family("keystone_memory_sheds_total", counter, "Times that a tenant began to be relieved of memory, or was relieved of more.")
	m.uint(v.Sheds)
	m.family("keystone_memory_cut_connections_total", counter, "Connections that were cut for the memory that they held.")
	m.uint(v.Cut)
	m.family("keystone_memory_scripts_bytes", gauge, "Memory that the VMs of all tenants hold, as counted.")
	m.int(v.Scripts)
	m.family("keystone_memory_ceiling_bytes", gauge, "What requests, connections and scripts may hold together (server.max_memory); 0 is no ceiling.")
	m.int(v.Ceiling)
}

// health is what there is of each target, and of the pools of tenants that have several.
func (m *scrape) health() {
	m.ofPools()
	m.family("keystone_target_up", gauge, "Whether a target is healthy: it gets requests, unless its weight is 0.")
	for _, t := range m.targets {
		m.bool(t.target.Well(), t.labels)
	}
	m.family("keystone_target_requests_total", counter, "Requests sent to a target.")
	for _, t := range m.targets {
		m.uint(t.target.Requests.Load(), t.labels)
	}
	m.family("keystone_target_failures_total", counter, "Requests that a target failed: it could not be connected to, or gave no complete response. A limit of the gateway's own, such as upstream_overflow, is none.")
	for _, t := range m.targets {
		m.uint(t.target.Failures.Load(), t.labels)
	}
	m.family("keystone_target_retries_total", counter, "Requests sent to a target after another had failed them.")
	for _, t := range m.targets {
		m.uint(t.target.Retries.Load(), t.labels)
	}
	m.family("keystone_target_requests_in_flight", gauge, "Requests that a target is working on.")
	for _, t := range m.targets {
		m.int(t.target.InFlight.Load(), t.labels)
	}
	m.family("keystone_target_transitions_total", counter, "Changes of a target between healthy and unhealthy.")
	for _, t := range m.targets {
		m.uint(t.target.Transitions.Load(), t.labels)
	}
}

// lua is what there is of the tenants that have scripts.
func (m *scrape) lua() {
	for _, family := range []struct {
		name, help string
		value      func(*lua.Stats) uint64
	}{
		{"runs", "Requests that scripts were run for.", func(s *lua.Stats) uint64 { return s.Runs.Load() }},
		{"failures", "Requests whose scripts failed.", func(s *lua.Stats) uint64 { return s.Failures.Load() }},
		{"exhausted", "Requests whose scripts failed for want of instructions, time or memory.", func(s *lua.Stats) uint64 { return s.Exhausted.Load() }},
		{"quarantined", "Requests refused because a script was in quarantine.", func(s *lua.Stats) uint64 { return s.Quarantined.Load() }},
		{"load_failures", "VMs that could not be made of scripts that had been accepted.", func(s *lua.Stats) uint64 { return s.LoadFailures.Load() }},
		{"recycled", "VMs that were replaced because their globals had grown too large.", func(s *lua.Stats) uint64 { return s.Recycled.Load() }},
		{"log_dropped", "Lines of scripts and about their failures that were dropped because lua.log_rate was used up.", func(s *lua.Stats) uint64 { return s.LogDropped.Load() }},
	} {
		m.family("keystone_lua_"+family.name+"_total", counter, family.help)
		for i := range m.scripts {
			m.uint(family.value(m.scripts[i].stats), m.scripts[i].label)
		}
	}
	m.ownMetrics()
	m.family("keystone_lua_vms", gauge, "VMs that a tenant's scripts are loaded in.")
	for i := range m.scripts {
		m.int(int64(m.scripts[i].vms), m.scripts[i].label)
	}
	m.family("keystone_lua_in_quarantine", gauge, "Scripts of a tenant that are in quarantine now.")
	for i := range m.scripts {
		m.int(int64(m.scripts[i].held), m.scripts[i].label)
	}
}

// http2 are the figures of clients that speak HTTP/2.
func (m *scrape) http2(c *proxy.HTTP2Counters) {
	m.family("keystone_http2_connections", gauge, "Open connections of clients that speak HTTP/2, of keystone_connections.")
	m.int(c.Connections)
	m.family("keystone_http2_streams_total", counter, "Streams that clients have opened.")
	m.uint(c.Streams)
	m.family("keystone_http2_streams_refused_total", counter, "Streams that were refused since their connection had as many as it may.")
	m.uint(c.Refused)
	m.family("keystone_http2_streams_given_up_total", counter, "Streams that clients have given up.")
	m.uint(c.Given)
	m.family("keystone_http2_calmed_total", counter, "Connections that were ended with ENHANCE_YOUR_CALM, by what was done too often on them.")
	for _, reason := range slices.Sorted(maps.Keys(c.Calmed)) {
		m.uint(c.Calmed[reason], label("reason", reason))
	}
}

// http3 are the figures of clients that speak HTTP/3.
func (m *scrape) http3(c *proxy.HTTP2Counters) {
	m.family("keystone_http3_connections", gauge, "Open connections of clients that speak HTTP/3, of keystone_connections.")
	m.int(c.Connections)
	m.family("keystone_http3_streams_total", counter, "Streams of HTTP/3 that clients have opened.")
	m.uint(c.Streams)
	m.family("keystone_http3_streams_refused_total", counter, "Streams of HTTP/3 that came after GOAWAY.")
	m.uint(c.Refused)
	m.family("keystone_http3_streams_given_up_total", counter, "Streams of HTTP/3 that clients have given up.")
	m.uint(c.Given)
	m.family("keystone_http3_calmed_total", counter, "Connections that were ended with H3_EXCESSIVE_LOAD, by what was done too often on them.")
	for _, reason := range slices.Sorted(maps.Keys(c.Calmed)) {
		m.uint(c.Calmed[reason], label("reason", reason))
	}
}

// server are the figures that no tenant owns.
func (m *scrape) server(c *proxy.Counters) {
	m.family("keystone_requests_in_flight", gauge, "Requests in progress, tunnels included.")
	m.int(c.InFlight)
	m.family("keystone_tunnels", gauge, "Open WebSockets and other upgraded connections.")
	m.int(c.Tunnels)
	m.family("keystone_connections", gauge, "Open connections of clients.")
	m.int(c.Connections)
	m.family("keystone_connections_accepted_total", counter, "Connections of clients accepted.")
	m.uint(c.Accepted)
	m.family("keystone_connections_refused_total", counter, "Connections of clients refused because of server.max_connections and max_connections_per_address.")
	m.uint(c.Refused)
	m.http2(&c.HTTP2)
	m.http3(&c.HTTP3)
	m.family("keystone_tls_handshake_failures_total", counter, "TLS handshakes with clients that failed.")
	m.uint(c.Handshakes)
	m.family("keystone_proxy_protocol_refused_total", counter, "Connections that were closed because they had to begin with a header of the PROXY protocol that is believed.")
	m.uint(c.NoHeaders)
	m.family("keystone_panics_total", counter, "Requests that a fault of the gateway ended; the log has the stacks.")
	m.uint(c.Panics)
	m.family("keystone_access_log_dropped_total", counter, "Lines of the access log that were dropped because writing was too slow.")
	m.uint(c.LogsDropped)
	m.family("keystone_log_dropped_total", counter, "Lines of the gateway's own log that were dropped because writing was too slow.")
	m.uint(c.LogDropped)
}

func (m *scrape) reloads(view *proxy.SnapshotView, c *proxy.Counters, last proxy.ReloadResult) {
	m.family("keystone_reloads_total", counter, "Reloads of the configuration.")
	failed := min(c.ReloadsFailed, c.Reloads) // one may have ended between the two
	partial := min(c.ReloadsPartial, c.Reloads-failed)
	m.uint(c.Reloads-failed-partial, label("result", "success"))
	m.uint(partial, label("result", "partial"))
	m.uint(failed, label("result", "failure"))
	m.family("keystone_last_reload_successful", gauge, "Whether all that the last reload, or the start, asked for is in use; if not, what was before it is, in all or in some tenants.")
	m.bool(last.OK)
	m.family("keystone_last_reload_timestamp_seconds", gauge, "When the last reload, or the start, was.")
	m.float(float64(last.At.UnixMilli()) / 1000)
	m.family("keystone_config_generation", gauge, "Number of the configuration in use: 1 at the start, one more with every good reload.")
	m.uint(view.Generation)
	m.family("keystone_tenants_broken", gauge, "Tenants that are not served as the configuration asks for: refused (misconfigured) or with what they had before (outdated).")
	m.int(int64(m.refused), label("state", misconfigured))
	m.int(int64(m.stale), label("state", proxy.Outdated))
	m.family("keystone_tenant_broken", gauge, "One for each of the first 100 of them; the value is always 1.")
	for _, b := range m.broken {
		m.uint(1, b.tenant, b.state)
	}
	m.family("keystone_tenants", gauge, "Tenants of the configuration in use.")
	m.int(int64(len(view.Tenants)))
}
