package generator

import (
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// WriteHTML writes the report as one page without scripts or anything that is
// loaded from elsewhere.
func (r *Report) WriteHTML(w io.Writer) error {
	var p page
	p.add("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	// Should anything of a server's get past the escaping, it may not run.
	p.add("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
	p.add("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n")
	p.add("<title>Load test: ")
	p.text(r.what())
	p.add("</title>\n<style>" + pageStyle + "</style>\n</head>\n<body>\n<main>\n")
	p.head(r)
	p.tiles(r)
	p.latencies(r)
	p.plots(r)
	p.responses(r)
	p.details(r)
	p.add("</main>\n</body>\n</html>\n")
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("cannot write the report as HTML: %w", err)
	}
	return nil
}

// page is HTML on its way. Texts go through text, all else is ours.
type page struct{ strings.Builder }

// add writes markup.
func (p *page) add(markup string) { _, _ = p.WriteString(markup) }

// text writes a text.
func (p *page) text(s string) { _, _ = p.WriteString(html.EscapeString(s)) }

// element writes a text within an element.
func (p *page) element(name, attributes, s string) {
	p.add("<" + name + attributes + ">")
	p.text(s)
	p.add("</" + name + ">")
}

func (p *page) head(r *Report) {
	p.add("<header>\n")
	p.element("h1", "", "Load test")
	p.add("\n")
	p.element("p", ` class="what"`, r.what())
	p.add("\n")
	p.element("p", ` class="how"`, r.how()+", from "+r.Started.Format(time.DateTime)+" UTC")
	p.add("\n</header>\n")
	for _, warning := range r.Warnings {
		p.element("p", ` class="warning" role="note"`, "Warning: "+warning+".")
		p.add("\n")
	}
}

// tiles are the figures that matter most.
func (p *page) tiles(r *Report) {
	p.add("<section class=\"tiles\" aria-label=\"Key figures\">\n")
	p.tile("Rate", rate(r.RequestsPerSecond)+"/s", count(r.Requests)+" requests")
	p.tile("Latency p50", shown(r, r.Latency.P50), "mean "+shown(r, r.Latency.Mean))
	p.tile("Latency p99", shown(r, r.Latency.P99), "max "+shown(r, r.Latency.Max))
	class, share := "", "of "+count(r.Requests)
	if r.Errors > 0 {
		class, share = " bad", percent(float64(r.Errors)/float64(r.Requests))+" of "+count(r.Requests)
	}
	p.add(`<div class="tile` + class + `">`)
	p.tileText("Errors", count(r.Errors), share)
	p.tile("Received", size(r.ReceivedPerSecond)+"/s", size(float64(r.ReceivedBytes))+" in all")
	p.add("</section>\n")
}

func (p *page) tile(name, value, note string) {
	p.add(`<div class="tile">`)
	p.tileText(name, value, note)
}

func (p *page) tileText(name, value, note string) {
	p.element("span", ` class="name"`, name)
	p.element("strong", "", value)
	p.element("span", ` class="note"`, note)
	p.add("</div>\n")
}

// shown is a latency, or a dash where nothing was answered.
func shown(r *Report, ms float64) string {
	if len(r.StatusClasses) == 0 {
		return "–"
	}
	return duration(ms)
}

func (p *page) latencies(r *Report) {
	if len(r.StatusClasses) == 0 {
		return
	}
	p.add("<section>\n<h2>Latency</h2>\n")
	p.tableHead("", "mean", "p50", "p90", "p99", "p99.9", "max")
	p.latencyRow("latency", &r.Latency)
	if r.ServiceTime != nil {
		p.latencyRow("service time", r.ServiceTime)
	}
	p.add("</tbody></table></div>\n")
	if r.ServiceTime != nil {
		p.add("<p class=\"note\">Latency counts from when a request was due, so a server that stalls can't hide the requests that it kept from being sent (coordinated omission). Service time counts from when it was sent.</p>\n")
	} else {
		p.add("<p class=\"note\">In a closed loop each connection waits for its response before it sends again: while the server stalls, little is sent, and little of the stall shows here. With <code>-rate</code> it does.</p>\n")
	}
	p.add("</section>\n")
}

func (p *page) latencyRow(name string, l *Latencies) {
	p.add("<tr>")
	p.element("th", ` scope="row"`, name)
	for _, ms := range []float64{l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max} {
		p.element("td", ` class="number"`, duration(ms))
	}
	p.add("</tr>\n")
}

// tableHead begins a table; columns but the first hold numbers.
func (p *page) tableHead(names ...string) {
	p.add("<div class=\"scroll\"><table><thead><tr>")
	for i, name := range names {
		if i == 0 && name == "" {
			p.add("<td></td>")
		} else if i == 0 {
			p.element("th", ` scope="col"`, name)
		} else {
			p.element("th", ` scope="col" class="number"`, name)
		}
	}
	p.add("</tr></thead><tbody>\n")
}

// responses are statuses and failures, by number.
func (p *page) responses(r *Report) {
	p.add("<section>\n<h2>Responses</h2>\n")
	p.tableHead("status", "requests", "share")
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		p.countRow(status, r.Statuses[status], r.Requests)
	}
	for _, f := range r.byCount() {
		p.countRow("failed: "+f.Kind, f.Count, r.Requests)
	}
	if r.Cut > 0 {
		p.countRow("cut off at the end", r.Cut, r.Requests)
	}
	p.add("</tbody></table></div>\n")
	if len(r.Failures) > 0 {
		p.add("<h3>First failure of each kind</h3>\n<dl>\n")
		for _, f := range r.byCount() {
			p.element("dt", "", f.Kind)
			p.add("<dd><code>")
			p.text(f.First)
			p.add("</code></dd>\n")
		}
		p.add("</dl>\n")
	}
	p.add("</section>\n")
}

func (p *page) countRow(name string, n, of int64) {
	p.add("<tr>")
	p.element("th", ` scope="row"`, name)
	p.element("td", ` class="number"`, count(n))
	p.element("td", ` class="number"`, percent(float64(n)/float64(max(of, 1))))
	p.add("</tr>\n")
}

// details are settings, and figures for the curious.
func (p *page) details(r *Report) {
	s := &r.Settings
	p.add("<section>\n<h2>Settings</h2>\n<dl>\n")
	row := func(name, value string) {
		p.element("dt", "", name)
		p.element("dd", "", value)
		p.add("\n")
	}
	p.element("dt", "", "Targets")
	p.add("<dd>")
	for _, t := range s.FirstTargets {
		p.element("code", "", t)
		p.add("<br>")
	}
	if more := s.Targets - len(s.FirstTargets); more > 0 {
		p.text("and " + count(int64(more)) + " more")
	}
	p.add("</dd>\n")
	row("Connections", fmt.Sprintf("%s, %s opened in all", count(int64(s.Connections)), count(r.ConnectionsOpened)))
	row("Time-out", short(seconds(s.TimeoutSeconds)))
	row("Sent", fmt.Sprintf("%s, %s/s", size(float64(r.SentBytes)), size(r.SentPerSecond)))
	if s.RatePerSecond > 0 {
		row("Sent late", fmt.Sprintf("%s since all connections were busy, %s because of the generator; %s never sent", count(r.LateBusy), count(r.LateOwn), count(r.Unsent)))
	}
	row("Generator", fmt.Sprintf("%s, used %s of its processors", r.Generator, percent(r.ProcessorShare)))
	p.add("</dl>\n</section>\n")
}
