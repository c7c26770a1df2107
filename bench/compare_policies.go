//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
)

// policed is what a proxy does to each request beyond passing it on.
type policed string

const (
	notPoliced policed = ""
	everyday   policed = "everyday" // headers, ip, rate_limit and cors
	guarded    policed = "guarded"  // what nginx calls limit_req, auth_basic and add_header
)

// The user whom guarded work knows.
const (
	benchUser     = "bench"
	benchPassword = "keystone"
	benchHash     = "$2b$10$abcdefghijklmnopqrstuuol2fRXSCNtYFsS.mcy19Pu96QiV.Kgq" // of it
)

// benchCredentials is the value of Authorization for them.
var benchCredentials = "Basic " + base64.StdEncoding.EncodeToString([]byte(benchUser+":"+benchPassword))

// gatewayPolicies are the gateway's, below a tenant. Nobody is refused, and all is done.
var gatewayPolicies = map[policed]string{
	everyday: `    policies:
      - headers: {request: {set: {X-From: edge}}, response: {set: {Strict-Transport-Security: max-age=31536000, X-Content-Type-Options: nosniff}}}
      - ip: {allow: [127.0.0.0/8, 10.0.0.0/8, 192.168.0.0/16]}
      - rate_limit: {rate: 1000000/s, by: client}
      - cors: {origins: ["https://app.example.com"], credentials: true}
`,
	guarded: `    policies:
      - rate_limit: {rate: 1000000/s, by: client, headers: false}
      - basic_auth: {users: {` + benchUser + `: "` + benchHash + `"}}
      - headers: {response: {set: {X-Content-Type-Options: nosniff}}}
`,
}

// nginxGuard is the same for guarded work: before a server, and in its location, which
// takes nothing of add_header from outside then. A password in clear costs nginx least.
const (
	nginxZone  = "limit_req_zone $binary_remote_addr zone=clients:10m rate=1000000r/s;\n"
	nginxGuard = "limit_req zone=clients burst=1000000 nodelay; auth_basic bench; auth_basic_user_file {dir}/nginx/users; " +
		"add_header X-Request-Id $request_id; add_header X-Content-Type-Options nosniff; "
	nginxUsers = benchUser + ":{PLAIN}" + benchPassword + "\n"
)

// policedFields are what a browser sends with such requests.
func (p policed) fields() []string {
	switch p {
	case everyday:
		return []string{"Origin: https://app.example.com"}
	case guarded:
		return []string{"Authorization: " + benchCredentials}
	}
	return nil
}

// guardComparison is what nginx can be compared in.
func guardComparison() comparison {
	return comparison{
		scenario: closedScenario("guarded-64", "a GET is passed on by a rate limit, a password and a field of the response, 64 connections"),
		policed:  guarded, takes: func(p *peer) bool { return p.name == peerGateway || p.name == peerNginx }, run: policedLoop(guarded),
		goals: []promise{cpuGoal(peerNginx, 1, 0)},
	}
}

func policedLoop(p policed) func(context.Context, *lab, *running) (sample, error) {
	return func(ctx context.Context, l *lab, r *running) (sample, error) {
		c := r.loop(l, 64, "/users/7?page=2")
		c.requests.fields = p.fields()
		return c.run(ctx, l)
	}
}

// policiesScenario is the gateway with everyday policies beside itself without.
func policiesScenario(o *options, cores int) *scenario {
	const with, without = "with policies", "without"
	c := comparison{scenario: closedScenario("policies-64", "a GET is passed on with headers, ip, rate_limit and cors, and without, 64 connections"), run: policedLoop(everyday)}
	s := c.scenario
	s.cores, s.headline = cores, ""
	all := peers()
	own := all[slices.IndexFunc(all, func(p *peer) bool { return p.name == ours })]
	for name, what := range map[string]policed{with: everyday, without: notPoliced} {
		s.subjects = append(s.subjects, subject{name: name, run: func(ctx context.Context, l *lab) (sample, error) {
			return c.measure(ctx, l, own, &work{hosts: o.hosts, cores: cores, policed: what})
		}})
	}
	slices.SortFunc(s.subjects, func(a, b subject) int { return strings.Compare(a.name, b.name) })
	s.promises = []promise{{text: "CPU per request ÷ without policies", subject: with, versus: without, metric: metricCPU, must: 1.1}}
	s.note = "Both are sent the same."
	return &s
}
