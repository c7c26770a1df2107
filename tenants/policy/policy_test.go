package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// withThird is the list of policies with one more: a folder, and this line.
type withThird struct {
	tenants.Policy `yaml:",inline"`

	// How long queries may be.
	Query *Config `yaml:"query"`
}

type section struct {
	// Policies.
	Policies []withThird `yaml:"policies"`
}

// kinds are the policies that there are without it.
var kinds = func() string {
	var names []string
	for _, kind := range policy.Kinds(tenants.Policy{}) {
		names = append(names, kind.Name)
	}
	return strings.Join(names, ", ")
}()

func decode(text string) (s section, err error) {
	document := settings.Decode("c.yaml", []byte(text), &s, nil)
	for i := range s.Policies {
		policy.CheckOne(&s.Policies[i], fmt.Sprintf("tenant \"100%%\", policies[%d]", i), document)
	}
	return s, document.Err()
}

// TestThirdPolicy: a folder and a line in the list are all that a policy needs. What
// is written here is decoded, checked, documented, counted and asked.
func TestThirdPolicy(t *testing.T) {
	t.Parallel()
	s, err := decode("policies: [{ip: {allow: [10.0.0.0/8]}}, {query: {}}, {query: {max: 1}}]")
	if err != nil {
		t.Fatal(err)
	}
	if s.Policies[1].Query.Max != 1000 {
		t.Errorf("the default is %d, want 1000", s.Policies[1].Query.Max)
	}
	for text, want := range map[string]string{
		"policies: [{query: {max: -1}}]":          `c.yaml:1:26: tenant "100%", policies[0].query: max -1 is out of range, expected 0 to 100000`,
		"policies: [{qeury: {max: 1}}]":           `c.yaml:1:13: unknown key "qeury" in policies[0]; did you mean "query"?`,
		"policies: [{query: {maxx: 1}}]":          `c.yaml:1:21: unknown key "maxx" in policies[0].query; did you mean "max"?`,
		"policies: [{query: {max: 1}, ip: {}}]":   `c.yaml:1:12: tenant "100%", policies[0]: ip and query are in one element of the list`,
		"policies: [{}]":                          `c.yaml:1:12: tenant "100%", policies[0]: a policy is missing, expected one of ` + kinds + `, query with its settings`,
		"policies:\n  - query: {max: ten}\n":      "c.yaml:2:18: policies[0].query.max: expected a whole number from 0 to 100000",
		"policies:\n  - query:\n      max: -1\n ": `c.yaml:3:12: tenant "100%", policies[0].query: max -1 is out of range`,
	} {
		if _, err := decode(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	sources := append(policy.Sources(withThird{}), "package policy_test\ntype section struct {\n// Policies.\nPolicies int\n}\ntype withThird struct {\n// Q.\nQuery int\n}\n")
	sources = append(sources, tenants.Sources()...)
	reference, err := settings.Markdown(section{}, sources)
	if err != nil || !strings.Contains(reference, "| `max` | whole number | `1000` | Longest query, in bytes;") {
		t.Error(err, reference)
	}
	schema, err := settings.Schema(section{}, sources)
	if err != nil || !strings.Contains(string(schema), `"query": {`) || !strings.Contains(string(schema), `"maxProperties": 1`) {
		t.Error(err, string(schema))
	}
	if !slices.Contains(policy.Refusals(withThird{}), tooLong) {
		t.Error("its refusal isn't listed")
	}
	askThird(t, &s)
}

func askThird(t *testing.T, s *section) {
	t.Helper()
	var list []policy.Named
	for i := range s.Policies {
		list = append(list, policy.Of(&s.Policies[i])...)
	}
	counters := map[string]*policy.Counter{}
	chain, err := policy.Build(list, policy.Deps{}, func(name string) *policy.Counter {
		if counters[name] == nil {
			counters[name] = &policy.Counter{}
		}
		return counters[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	judge := func(client, query string) (told []string) {
		r := policy.Request{Client: netip.MustParseAddr(client), Query: []byte(query), Header: &message.Header{}}
		r.Trace = func(s policy.Step) { told = append(told, fmt.Sprint(s.Name, " ", s.Decision, ": ", s.Why)) }
		chain.Begin(&r)
		answer, by, err := chain.Judge(&r)
		if (answer != nil) != (by != "") || err != nil || answer != nil && answer.Refusal != tooLong && by == "query" {
			t.Errorf("%s %s: got %v by %q, %v", client, query, answer, by, err)
		}
		chain.Done(&r)
		return told
	}
	for _, step := range []struct{ got, want []string }{
		{judge("10.0.0.1", "?a"), []string{"ip passed: client 10.0.0.1 is in 10.0.0.0/8 of allow", "query passed: the query has 1 bytes, and max is 1000", "query passed: the query has 1 bytes, and max is 1"}},
		{judge("10.0.0.1", "?ab"), []string{"ip passed: client 10.0.0.1 is in 10.0.0.0/8 of allow", "query passed: the query has 2 bytes, and max is 1000", "query answered: a query of 2 bytes is longer than max (1)"}},
		{judge("11.0.0.1", ""), []string{"ip answered: client 11.0.0.1 is in no network of allow"}},
	} {
		if !slices.Equal(step.got, step.want) {
			t.Errorf("got %q, want %q", step.got, step.want)
		}
	}
	var counted []string
	chain.Kinds(func(name string, c *policy.Counter) {
		counted = append(counted, fmt.Sprint(name, " ", c.Passed.Load(), " ", c.Answered.Load(), " ", c.Failed.Load()))
	})
	if want := []string{"ip 2 1 0", "query 3 1 0"}; !slices.Equal(counted, want) {
		t.Errorf("counted %q, want %q", counted, want)
	}
}

// TestChain: policies are asked in their order until one answers or fails, amend in
// reverse, whoever was asked, and are told the end if they were asked; each has a
// memo of its own for the request.
func TestChain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ends    int // which of three answers or fails; 3 is none
		fails   bool
		want    string
		counted string
	}{
		{3, false, "judge 0|judge 1|judge 2|amend 2|amend 1|amend 0|done 0|done 1|done 2", "3 0 0"},
		{1, false, "judge 0|judge 1|amend 2|amend 1|amend 0|done 0|done 1", "1 1 0"},
		{0, true, "judge 0|amend 2|amend 1|amend 0|done 0", "0 0 1"},
	} {
		var steps []string
		var list []policy.Named
		for i := range 3 {
			note := func(r *policy.Request, what string) {
				steps = append(steps, fmt.Sprint(what, " ", i))
				if want := int64(strings.Count(strings.Join(steps, "|"), fmt.Sprint("judge ", i))); what != "judge" && r.Memo.Numbers[0] != want*int64(i+1) {
					t.Errorf("%s: the memo is %d", steps, r.Memo.Numbers[0])
				}
				if what == "judge" {
					r.Memo.Numbers[0] = int64(i + 1)
				}
			}
			list = append(list, policy.Named{Name: "trying", Section: &trying{
				judge: func(r *policy.Request) (*policy.Answer, error) {
					switch note(r, "judge"); {
					case i == c.ends && c.fails:
						return nil, errTrying
					case i == c.ends:
						return &policy.Answer{Status: 204}, nil
					}
					return nil, nil
				},
				amend: func(r *policy.Request, _ *policy.Response) { note(r, "amend") },
				done:  func(r *policy.Request) { note(r, "done") },
			}})
		}
		var counter policy.Counter
		chain, err := policy.Build(list, policy.Deps{}, func(string) *policy.Counter { return &counter })
		if err != nil {
			t.Fatal(err)
		}
		var r policy.Request
		chain.Begin(&r)
		answer, by, err := chain.Judge(&r)
		if (answer != nil) != (c.ends < 3 && !c.fails) || errors.Is(err, errTrying) != c.fails || (by == "trying") != (c.ends < 3) {
			t.Errorf("%d: got %v %q %v", c.ends, answer, by, err)
		}
		chain.Amend(&r, &policy.Response{})
		chain.Done(&r)
		if got := strings.Join(steps, "|"); got != c.want {
			t.Errorf("%d:\ngot  %s\nwant %s", c.ends, got, c.want)
		}
		if got := fmt.Sprint(counter.Passed.Load(), counter.Answered.Load(), counter.Failed.Load()); got != c.counted {
			t.Errorf("%d: counted %s, want %s", c.ends, got, c.counted)
		}
	}
	var none *policy.Chain
	none.Done(&policy.Request{})
	if none.Amends() || none.Len() != 0 {
		t.Error("the nil chain has something")
	}
}

// TestContributing: what CONTRIBUTING.md shows of a third policy is what is compiled
// here.
func TestContributing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, found := strings.Cut(string(text), "+package query\n")
	shown, _, ended := strings.Cut(shown, "```")
	if !found || !ended {
		t.Fatal("CONTRIBUTING.md shows no policy")
	}
	_, compiled, _ := strings.Cut(source, "// use it. A test holds the two to each other.\n")
	compiled, _, _ = strings.Cut(compiled, "\n// The policy ends here.")
	compiled = strings.Replace(compiled, "//go:embed third_test.go", "//go:embed config.go", 1)
	var lines []string
	for line := range strings.Lines(shown) {
		added, ok := strings.CutPrefix(line, "+")
		if !ok {
			break
		}
		lines = append(lines, added)
	}
	if got := strings.Join(lines, ""); !strings.HasSuffix(got, compiled) {
		t.Errorf("CONTRIBUTING.md shows\n%s\nand compiled is\n%s", got, compiled)
	}
}

// TestContributingApplies: what CONTRIBUTING.md shows is a diff that applies to the
// list of policies, and what comes of it compiles.
func TestContributingApplies(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil && os.Getenv("KEYSTONE_CI") == "" {
		t.Skip("git is missing")
	}
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, diff, _ := strings.Cut(string(text), "```diff\n")
	diff, _, _ = strings.Cut(diff, "```")
	list, err := os.ReadFile("../policies.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tenants"), 0o700), os.WriteFile(filepath.Join(dir, "tenants/policies.go"), list, 0o600)); err != nil {
		t.Fatal(err)
	}
	run := func(in, input, name string, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir, command.Stdin = in, strings.NewReader(input)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run(dir, diff, "git", "apply", "--whitespace=error-all", "-")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range []string{"tenants/policies.go", "tenants/policy/query/config.go"} {
		files[filepath.Join(root, name)] = filepath.Join(dir, name)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(at, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	run(root, "", "go", "build", "-overlay", at, "./tenants")
}

// FuzzTemplate: whatever a template and its variables hold, its value is one line of
// a field, the texts stand in it as they were written, and what was shown of it
// means the same again.
func FuzzTemplate(f *testing.F) {
	f.Add("for ${client_address} at ${host}", "example.com", "id", "tenant")
	f.Add("$${host} $$${host} ${", "a\r\nX: b", "\x00", "é")
	f.Add("$$$$${tenant}{host}", "", "", "")
	f.Fuzz(func(t *testing.T, text, host, id, tenant string) {
		var s struct {
			Value policy.Template `yaml:"value"`
		}
		document := settings.Decode("c.yaml", []byte("value: "+quoted(text)), &s, func(string) (string, bool) { return "${host}", true })
		if document.Err() != nil {
			return
		}
		r := policy.Request{Host: []byte(host), ID: []byte(id), Tenant: tenant, Client: netip.MustParseAddr("2001:db8::1")}
		value := string(s.Value.Value(&r))
		if !message.IsFieldText([]byte(value)) {
			t.Errorf("%q is no field's value", value)
		}
		shown, err := s.Value.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "${") && strings.Contains(value, "${") && !strings.Contains(string(shown), "$${") && !strings.Contains(host+id+tenant, "${") && !strings.Contains(host+id+tenant, "$") {
			t.Errorf("%q is %q, and is shown as %q", text, value, shown)
		}
	})
}

// quoted is a text as YAML.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(strings.NewReplacer("\n", " ", "\r", " ").Replace(text), "'", "''") + "'"
}

// BenchmarkChain asks an ip and a headers policy that let a request pass, and has
// them amend the response.
func BenchmarkChain(b *testing.B) {
	var s section
	document := settings.Decode("c.yaml", []byte("policies: [{ip: {allow: [10.0.0.0/8, '2001:db8::/32'], deny: 10.66.0.0/16}}, {headers: {request: {remove: X-Debug, set: {X-Real-IP: '${client_address}'}}, "+
		"response: {remove: [Server, X-Powered-By], set: {Strict-Transport-Security: max-age=31536000, X-Frame-Options: DENY}}}}]"), &s, nil)
	if err := document.Err(); err != nil {
		b.Fatal(err)
	}
	list := slices.Concat(policy.Of(&s.Policies[0]), policy.Of(&s.Policies[1]))
	var counter policy.Counter
	chain, err := policy.Build(list, policy.Deps{}, func(string) *policy.Counter { return &counter })
	if err != nil {
		b.Fatal(err)
	}
	var r policy.Request
	var fields, request, response message.Header
	for _, name := range []string{"Host", "User-Agent", "Accept", "Accept-Encoding", "Cookie", "X-Debug"} {
		fields.Add([]byte(name), []byte("value"))
	}
	head := policy.Response{Status: 200, Header: &response}
	b.ReportAllocs()
	for b.Loop() {
		request, response = append(request[:0], fields...), append(response[:0], fields...)
		r.Reset()
		r.Client, r.Header = netip.AddrFrom4([4]byte{10, 1, 2, 3}), &request
		chain.Begin(&r)
		if answer, _, err := chain.Judge(&r); answer != nil || err != nil {
			b.Fatal(answer, err)
		}
		chain.Amend(&r, &head)
		chain.Done(&r)
	}
}
