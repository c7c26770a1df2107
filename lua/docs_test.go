package lua_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

const reference = "../docs/lua.md"

// TestReferenceExamples runs the examples of docs/lua.md, each as the script
// of a gateway of its own. In an example,
//
//	EXPRESSION --> VALUES
//
// is a check, where VALUES may be "error: part of a message", and
//
//	-- METHOD PATH[, Name: value…] [with BODY] -> STATUS [part of the body, or of a field]
//
// is a request, and
//
//	-- TLS NAME -> yes (or no)
//
// what scripts say to a name on demand. An example that begins with "-- scripts/FILE" is that file,
// for the one after it.
func TestReferenceExamples(t *testing.T) {
	t.Setenv("GREETING", "hello")
	source, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	target := httptest.NewServer(http.HandlerFunc(echo))
	defer target.Close()
	files := map[string]string{}
	for _, e := range examples(string(source)) {
		code := strings.ReplaceAll(e.code, "http://users.internal", target.URL)
		if name, ok := strings.CutPrefix(code, "-- scripts/"); ok {
			name, _, _ = strings.Cut(name, "\n")
			files[name] = code
			continue
		}
		files["example.lua"] = checked(code)
		t.Run(fmt.Sprintf("line %d", e.line), func(t *testing.T) {
			ask(t, serve(t, files, target.URL), e.code)
			askTLS(t, files, e.code)
		})
		files = map[string]string{}
	}
}

// Everything that is registered stands in an example, but for the language.
func TestReferenceIsComplete(t *testing.T) {
	source, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, e := range examples(string(source)) {
		code.WriteString(e.code)
	}
	registered, err := lua.API()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range registered {
		base, _, _ := strings.Cut(name, ".")
		if name == "chi" || slices.Contains([]string{"string", "table", "math", "coroutine", "os", "bit", "bit32", "package"}, base) {
			continue
		}
		short := strings.TrimPrefix(name, "keystone.")
		if strings.Contains(name, ":") {
			_, short, _ = strings.Cut(name, ":")
			short = ":" + short + "("
		}
		if !strings.Contains(code.String(), short) && !strings.Contains(string(source), "`"+short+"`") {
			t.Errorf("%s has no example of %s", reference, name)
		}
	}
}

// The cookbook shows each of its scripts as it is, below a link to it, and each
// has tests.
func TestCookbookShowsItsScripts(t *testing.T) {
	page, err := os.ReadFile("../docs/cookbook.md")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../docs/cookbook/*.lua")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	shown := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.lua") {
			continue
		}
		if _, err := os.Stat(strings.TrimSuffix(path, ".lua") + "_test.lua"); err != nil {
			t.Errorf("%s has no tests: %v", path, err)
		}
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, below, found := strings.Cut(string(page), "("+strings.TrimPrefix(path, "../docs/")+")")
		block := examples(below)
		if !found || len(block) == 0 || block[0].code != string(code) {
			t.Errorf("docs/cookbook.md doesn't show %s as it is, below a link to it", path)
		}
		shown++
	}
	if blocks := len(examples(string(page))); blocks != shown {
		t.Errorf("docs/cookbook.md has %d scripts, expected the %d of docs/cookbook", blocks, shown)
	}
}

// Every setting of scripts is named there.
func TestReferenceNamesTheSettings(t *testing.T) {
	source, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	for prefix, section := range map[string]reflect.Type{"": reflect.TypeFor[lua.Config](), "http.": reflect.TypeFor[lua.HTTPConfig]()} {
		for i := range section.NumField() {
			key := section.Field(i).Tag.Get("yaml")
			if prefix+key != "http" && !strings.Contains(string(source), "`"+prefix+key+"`") {
				t.Errorf("%s doesn't name lua.%s", reference, prefix+key)
			}
		}
	}
}

// example is a block of Lua in a document.
type example struct {
	line int
	code string
}

func examples(document string) (list []example) {
	lines := strings.Split(document, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] != "```lua" {
			continue
		}
		begin := i + 1
		for i++; lines[i] != "```"; i++ {
		}
		list = append(list, example{begin, strings.Join(lines[begin:i], "\n") + "\n"})
	}
	return list
}

var checkLine = regexp.MustCompile(`^(\s*)(.+?)\s+--> (.+)$`)

// checked turns the checks of an example into calls.
func checked(code string) string {
	lines := strings.Split(code, "\n")
	found := false
	for i, line := range lines {
		m := checkLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		found = true
		if message, ok := strings.CutPrefix(m[3], "error: "); ok {
			statement := m[2]
			if !regexp.MustCompile(`^[\w.]+ = `).MatchString(statement) {
				statement = "return " + statement
			}
			lines[i] = fmt.Sprintf("%s__raises(%q, function() %s end)", m[1], message, statement)
			continue
		}
		lines[i] = fmt.Sprintf("%s__equal(__pack(%s), __pack(%s))", m[1], m[2], m[3])
	}
	if !found {
		return code
	}
	return strings.ReplaceAll(strings.TrimSpace(prelude), "\n", " ") + " " + strings.Join(lines, "\n")
}

// prelude is what the checks call; it stands before the first line. Where one
// value is expected, others don't matter.
const prelude = `
local function __pack(...) return { n = select('#', ...), ... } end
local function __same(a, b)
	if type(a) ~= "table" or type(b) ~= "table" then return a == b end
	for k, v in pairs(b) do if not __same(a[k], v) then return false end end
	for k in pairs(a) do if b[k] == nil then return false end end
	return true
end
local function __equal(have, want)
	if want.n == 1 then have = { n = 1, have[1] } end
	if not __same(have, want) then
		for i = 1, have.n do have[i] = tostring(have[i]) end
		error("this is " .. table.concat(have, ", ", 1, have.n), 2)
	end
end
local function __raises(want, f)
	local ok, message = pcall(f)
	if ok or not tostring(message):find(want, 1, true) then error("this raises " .. tostring(message), 2) end
end`

// serve starts a gateway with scripts for the tenant demo.
func serve(t *testing.T, files map[string]string, target string) (address string) {
	t.Helper()
	dir := t.TempDir()
	for name, code := range files {
		path := filepath.Join(dir, "scripts", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`
server: { address: "127.0.0.1:0" }
access_log: { enabled: false }
lua_routing: { enabled: true, scripts_dir: scripts }
tenants:
  - name: demo
    domains: [localhost]
    lua_routes: [example.lua]
    lua: { env: [GREETING], expose_errors: true, timeout: 2s, http: { allow: ["127.0.0.0/8"] } }
    services: [{ name: first, url: %q }, { name: second, url: %q }]
`, target, strings.Replace(target, "127.0.0.1", "localhost", 1))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := proxy.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Options{File: config, Config: loaded, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() { // the test's context is done by now
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server.Addr().String()
}

var askLine = regexp.MustCompile(`^-- ([A-Z]+) (/[^\s,]*)((?:, [\w-]+: [^,]*?)*)(?: with (.+))? -> (\d+)(?: (.*))?$`)

// ask makes the requests of an example.
func ask(t *testing.T, address, code string) {
	t.Helper()
	for _, line := range strings.Split(code, "\n") {
		m := askLine.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "-- TLS ") {
				continue
			}
			if strings.Contains(line, " -> ") && strings.HasPrefix(line, "-- ") {
				t.Errorf("cannot understand %q", line)
			}
			continue
		}
		request, err := http.NewRequestWithContext(t.Context(), m[1], "http://"+address+m[2], strings.NewReader(m[4]))
		if err != nil {
			t.Fatal(err)
		}
		request.Host, request.Close = "localhost", true // a kept connection would hold up the gateway's end
		for _, field := range strings.Split(m[3], ", ")[1:] {
			name, value, _ := strings.Cut(field, ": ")
			request.Header.Add(name, value)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var all strings.Builder
		for name, values := range response.Header {
			fmt.Fprintf(&all, "%s: %s\n", name, strings.Join(values, ", "))
		}
		all.Write(body)
		if fmt.Sprint(response.StatusCode) != m[5] || !strings.Contains(all.String(), m[6]) {
			t.Errorf("%s\ngot %d\n%s", line, response.StatusCode, all.String())
		}
	}
}

// askTLS asks the scripts of an example about names.
func askTLS(t *testing.T, files map[string]string, code string) {
	t.Helper()
	asks := regexp.MustCompile(`(?m)^-- TLS (\S+) -> (yes|no)$`).FindAllStringSubmatch(code, -1)
	if asks == nil {
		return
	}
	dir := t.TempDir()
	for name, text := range files {
		put(t, dir, name, text)
	}
	o := options(dir, "example.lua")
	o.Store, o.Config.HTTP.Allow = store.NewMemory(1<<20, time.Now), []string{"127.0.0.0/8"}
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	for _, m := range asks {
		if yes, err := scripts.TLSAsk(t.Context(), m[1]); err != nil || yes != (m[2] == "yes") {
			t.Errorf("%s: %v %v", m[0], yes, err)
		}
	}
}

// echo is the target of the examples.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "echo")
	fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.URL.RequestURI(), r.Host)
	_ = r.Header.Write(w)
	_, _ = io.Copy(w, r.Body)
}
