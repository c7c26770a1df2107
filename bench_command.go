package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
)

// statusLimit is the status where a limit that was asked for is exceeded.
const statusLimit = exitStatus(3)

// benchFlags are the command line of the command "bench".
type benchFlags struct {
	options                           generator.Options
	url, method, body, bodyFile       string
	targets, caCert, html, json       string
	asJSON, keepAlive, insecure       bool
	maxP99                            time.Duration
	maxErrors                         string
	errorsAllowed, errorsAllowedShare float64
}

// runBench is the command "bench": it sends requests and reports how they were
// answered.
func runBench(args []string) error {
	var f benchFlags
	if err := parse(f.set(), args); err != nil {
		return err
	}
	if err := f.complete(); err != nil {
		return err
	}
	ctx := untilSignal()
	console := &generator.Console{Out: os.Stderr, Terminal: isatty.IsTerminal(os.Stderr.Fd())}
	f.options.Progress = console.Show
	result, err := generator.Run(ctx, f.options)
	console.End()
	if err != nil {
		return fmt.Errorf("cannot send requests: %w", err)
	}
	report := result.Report(versionText())
	if err := f.write(report); err != nil {
		return err
	}
	return f.judge(report)
}

// set defines the flags.
func (f *benchFlags) set() *flag.FlagSet {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	o := &f.options
	flags.StringVar(&f.url, "url", "", "`URL` to send requests to, or the base of the paths in -targets")
	flags.StringVar(&f.targets, "targets", "", "`file` with a request a line: [METHOD] URL-or-path [host=NAME] [weight=N]")
	flags.IntVar(&o.Connections, "c", 64, "`connections`: requests in flight, or with -rate the most of them")
	flags.DurationVar(&o.Duration, "d", 10*time.Second, "how long to send and count")
	flags.Float64Var(&o.Rate, "rate", 0, "requests a second, sent when they are due; 0 sends the next one when the last one is answered")
	flags.DurationVar(&o.Warmup, "warmup", time.Second, "how long to send before anything is counted")
	flags.DurationVar(&o.Timeout, "timeout", 5*time.Second, "how long one request may take, connecting included")
	flags.StringVar(&f.method, "method", "", "`method` (default GET, or POST if there is a body)")
	flags.Func("H", "header `field` 'Name: value', may be given again", f.addField)
	flags.StringVar(&o.Host, "host", "", "`name` for the field Host and the server's certificate (default: the URL's)")
	flags.StringVar(&f.body, "body", "", "`text` of the requests' body")
	flags.StringVar(&f.bodyFile, "body-file", "", "`file` with the requests' body")
	flags.BoolVar(&f.keepAlive, "keepalive", true, "keep connections; false opens one for each request")
	flags.BoolVar(&f.insecure, "insecure", false, "don't verify the server's certificate")
	flags.StringVar(&f.caCert, "cacert", "", "`file` with the certificates (PEM) to verify the server by, in place of the system's")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	flags.StringVar(&f.html, "o", "", "write the report as HTML to a `file`")
	flags.StringVar(&f.json, "out-json", "", "write the report as JSON to a `file`")
	flags.DurationVar(&f.maxP99, "max-p99", 0, "end with status 3 if the p99 of the latency is above this `duration`")
	flags.StringVar(&f.maxErrors, "max-errors", "", "end with status 3 if more requests than this `number or share` (5, 0.1%) fail, get a status from 400 up or are never sent")
	return flags
}

func (f *benchFlags) addField(text string) error {
	field, err := generator.ParseField(text)
	if err == nil && strings.EqualFold(field.Name, "Host") {
		f.options.Host = field.Value
		return nil
	}
	f.options.Fields = append(f.options.Fields, field)
	return err
}

// complete makes options of the flags.
func (f *benchFlags) complete() error {
	f.options.Close = !f.keepAlive
	for _, step := range []func() error{f.readBody, f.readTargets, f.readTLS, f.readLimits, f.openReports} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (f *benchFlags) readBody() error {
	f.options.Body = []byte(f.body)
	if f.bodyFile == "" {
		return nil
	}
	if f.body != "" {
		return errors.New("-body and -body-file: expected one of them")
	}
	file, err := os.Open(f.bodyFile)
	if err != nil {
		return fmt.Errorf("cannot read -body-file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if f.options.Body, err = io.ReadAll(io.LimitReader(file, generator.MaxBody+1)); err != nil {
		return fmt.Errorf("cannot read -body-file: %w", err)
	}
	return nil
}

func (f *benchFlags) readTargets() error {
	var base *url.URL
	if f.url != "" {
		var err error
		if base, err = generator.ParseURL(f.url); err != nil {
			return fmt.Errorf("-url: %w", err)
		}
	}
	if f.targets == "" {
		if base == nil {
			return errors.New("there is nothing to send: expected -url or -targets")
		}
		f.options.Targets = []generator.Target{{URL: base, Method: f.method}}
		return nil
	}
	file, err := os.Open(f.targets)
	if err != nil {
		return fmt.Errorf("cannot read -targets: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	f.options.Targets, err = generator.ReadTargets(file, f.targets, base, f.method)
	return err
}

func (f *benchFlags) readTLS() error {
	if f.insecure && f.caCert != "" {
		return errors.New("-insecure and -cacert: expected one of them")
	}
	f.options.TLS = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: f.insecure, //nolint:gosec // G402: the user has asked for it
	}
	if f.caCert == "" {
		return nil
	}
	certificates, err := os.ReadFile(f.caCert)
	if err != nil {
		return fmt.Errorf("cannot read -cacert: %w", err)
	}
	f.options.TLS.RootCAs = x509.NewCertPool()
	if !f.options.TLS.RootCAs.AppendCertsFromPEM(certificates) {
		return fmt.Errorf("-cacert %s: expected certificates in PEM", f.caCert)
	}
	return nil
}

// openReports finds out before the run whether the reports can be written.
func (f *benchFlags) openReports() error {
	for _, name := range []string{f.html, f.json} {
		if name == "" {
			continue
		}
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // G302, G304: the user's file, for whoever may read it
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return fmt.Errorf("cannot write the report: %w", err)
		}
	}
	return nil
}

// readLimits reads what the report is judged by.
func (f *benchFlags) readLimits() error {
	if f.maxP99 < 0 {
		return fmt.Errorf("-max-p99 is %v, expected a duration above 0", f.maxP99)
	}
	f.errorsAllowed, f.errorsAllowedShare = math.Inf(1), math.Inf(1)
	if f.maxErrors == "" {
		return nil
	}
	text, isShare := strings.CutSuffix(f.maxErrors, "%")
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || !(n >= 0) || isShare && n > 100 || !isShare && n != math.Trunc(n):
		return fmt.Errorf("-max-errors is %q, expected a number such as 5, or a share such as 0.1%%", f.maxErrors)
	case isShare:
		f.errorsAllowedShare = n / 100
	default:
		f.errorsAllowed = n
	}
	return nil
}

// write writes the report wherever it was asked for.
func (f *benchFlags) write(r *generator.Report) error {
	show := r.WriteText
	if f.asJSON {
		show = r.WriteJSON
	}
	if err := show(os.Stdout); err != nil {
		return err
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{{f.html, r.WriteHTML}, {f.json, r.WriteJSON}} {
		if file.name == "" {
			continue
		}
		if err := writeFile(file.name, file.write); err != nil {
			return err
		}
	}
	return nil
}

// judge makes an error of a run that says nothing, or is beyond a limit.
func (f *benchFlags) judge(r *generator.Report) error {
	if len(r.Statuses) == 0 {
		return errors.New("no request was answered")
	}
	var exceeded []string
	if p99 := time.Duration(r.Latency.P99 * float64(time.Millisecond)); f.maxP99 > 0 && p99 > f.maxP99 {
		exceeded = append(exceeded, fmt.Sprintf("p99 is %v, expected at most %v (-max-p99)", p99.Round(time.Microsecond), f.maxP99))
	}
	due := r.Requests + r.Unsent
	if n := float64(r.Errors + r.Unsent); n > f.errorsAllowed || n > f.errorsAllowedShare*float64(due) {
		exceeded = append(exceeded, fmt.Sprintf("%d of %d requests ended in errors or were never sent, expected at most %s (-max-errors)", r.Errors+r.Unsent, due, f.maxErrors))
	}
	for _, text := range exceeded {
		fmt.Fprintln(os.Stderr, "keystone-gateway: "+text)
	}
	if len(exceeded) > 0 {
		return statusLimit
	}
	return nil
}
