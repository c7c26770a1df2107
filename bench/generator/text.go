package generator

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", r.what(), r.how())
	r.writeFigures(&b)
	r.writeStatuses(&b)
	r.writeLatencies(&b)
	if len(r.Warnings) > 0 {
		b.WriteString("\n")
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

// what is sent, in a line.
func (r *Report) what() string {
	s := &r.Settings
	text := s.FirstTargets[0]
	if n := s.Targets - 1; n == 1 {
		text += " and 1 other target"
	} else if n > 1 {
		text += fmt.Sprintf(" and %s other targets", count(int64(n)))
	}
	return text
}

// how it is sent, in a line.
func (r *Report) how() string {
	s := &r.Settings
	text := fmt.Sprintf("closed loop, %s", connections(s.Connections))
	if s.RatePerSecond > 0 {
		text = fmt.Sprintf("%s requests/s, at most %s", rate(s.RatePerSecond), connections(s.Connections))
	}
	if !s.KeepAlive {
		text += ", one request each"
	}
	if s.BodyBytes > 0 {
		text += ", bodies of " + size(float64(s.BodyBytes))
	}
	return text + fmt.Sprintf(", %s after %s of warm-up", short(seconds(r.ElapsedSeconds)), short(seconds(s.WarmupSeconds)))
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return count(int64(n)) + " connections"
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (r *Report) writeFigures(b *strings.Builder) {
	fmt.Fprintf(b, "requests     %s\n", count(r.Requests))
	fmt.Fprintf(b, "rate         %s/s\n", rate(r.RequestsPerSecond))
	fmt.Fprintf(b, "received     %s, %s/s\n", size(float64(r.ReceivedBytes)), size(r.ReceivedPerSecond))
	fmt.Fprintf(b, "sent         %s, %s/s\n", size(float64(r.SentBytes)), size(r.SentPerSecond))
	fmt.Fprintf(b, "connections  %s opened\n", count(r.ConnectionsOpened))
}

func (r *Report) writeStatuses(b *strings.Builder) {
	b.WriteString("\n")
	for _, class := range slices.Sorted(maps.Keys(r.StatusClasses)) {
		var codes []string
		for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
			if status[0] == class[0] {
				codes = append(codes, status+": "+count(r.Statuses[status]))
			}
		}
		fmt.Fprintf(b, "%s          %-12s %s\n", class, count(r.StatusClasses[class]), strings.Join(codes, ", "))
	}
	if len(r.StatusClasses) == 0 {
		b.WriteString("no request was answered\n")
	}
	for _, f := range r.byCount() {
		fmt.Fprintf(b, "%-12s %-12s %s\n", f.Kind, count(f.Count), f.First)
	}
}

// byCount is the failures, most frequent first.
func (r *Report) byCount() []ReportFailure {
	list := slices.Clone(r.Failures)
	slices.SortStableFunc(list, func(a, b ReportFailure) int { return cmp.Compare(b.Count, a.Count) })
	return list
}

func (r *Report) writeLatencies(b *strings.Builder) {
	if len(r.StatusClasses) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-13s%9s%9s%9s%9s%9s%9s\n", "", "mean", "p50", "p90", "p99", "p99.9", "max")
	writeRow(b, "latency", &r.Latency)
	if r.ServiceTime != nil {
		writeRow(b, "service time", r.ServiceTime)
		b.WriteString("latency counts from when a request was due, service time from when it was sent\n")
	}
}

func writeRow(b *strings.Builder, name string, l *Latencies) {
	fmt.Fprintf(b, "%-13s", name)
	for _, ms := range []float64{l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max} {
		fmt.Fprintf(b, "%9s", duration(ms))
	}
	b.WriteString("\n")
}
