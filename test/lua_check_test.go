package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLuaLoadErrors checks that every mistake in a declaration is an error of
// `check` with file and line, and never ends the program otherwise.
func TestLuaLoadErrors(t *testing.T) {
	const f = `function(request, response) end`
	cases := map[string]string{
		"syntax":                       `chi_route("GET", "/x", function( end)`,
		"raised":                       `error("boom")`,
		"undefined function":           `undefined_function()`,
		"pattern without a slash":      `chi_route("GET", "x", ` + f + `)`,
		"empty pattern":                `chi_route("GET", "", ` + f + `)`,
		"unclosed parameter":           `chi.get("/{id", ` + f + `)`,
		"bad regexp":                   `chi.get("/{id:[0-9}", ` + f + `)`,
		"catch-all in the middle":      `chi.get("/*/x", ` + f + `)`,
		"duplicate parameter":          `chi.get("/{a}/{a}", ` + f + `)`,
		"no method":                    `chi_route("", "/x", ` + f + `)`,
		"bad method":                   `chi_route("G T", "/x", ` + f + `)`,
		"nil handler":                  `chi_route("GET", "/x", nil)`,
		"no handler":                   `chi.get("/x")`,
		"table as handler":             `chi.get("/x", {})`,
		"no arguments":                 `chi_route()`,
		"middleware without function":  `chi_middleware("/x")`,
		"middleware nil":               `chi_middleware(nil)`,
		"middleware bad pattern":       `chi_middleware("/{", ` + f + `)`,
		"middleware relative":          `chi_middleware("x", ` + f + `)`,
		"group without function":       `chi_group("/x")`,
		"group bad pattern":            `chi_group("/{", function() end)`,
		"route group without function": `chi_route_group("/x", 5)`,
		"error in a group":             `chi_group("/x", function() error("inner") end)`,
		"mount bad pattern":            `chi_mount("static", ` + f + `)`,
		"not_found nil":                `chi_not_found(nil)`,
		"method_not_allowed nil":       `chi_method_not_allowed()`,
		"with nil":                     `chi.with(nil)`,
		"conflict":                     `chi.get("/x", ` + f + `) chi.get("/x", ` + f + `)`,
		"conflict of names":            `chi.get("/{a}", ` + f + `) chi.get("/{b}", ` + f + `)`,
		"conflict over groups":         `chi_group("/v", function() chi.get("/x", ` + f + `) end) chi.get("/v/x", ` + f + `)`,
		"mounted twice":                `chi.mount("/m", ` + f + `) chi.mount("/m", ` + f + `)`,
		"assigns to chi":               `chi.get = print`,
		"endless loop":                 `while true do end`,
		"memory":                       `local s = "x" while true do s = s .. s end`,
		"deep recursion":               `local function r() return 1 + r() end r()`,
		"request at load":              `local x = request.path`,
		"response at load":             `response_write(nil, "x")`,
		"missing module":               `require("lib.none")`,
	}
	names := make([]string, 0, len(cases))
	directory := t.TempDir()
	var config strings.Builder
	config.WriteString("lua_routing: {enabled: true, scripts_dir: scripts}\ntenants:\n")
	if err := os.Mkdir(filepath.Join(directory, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range cases {
		file := strings.ReplaceAll(name, " ", "_") + ".lua"
		names = append(names, file)
		// The mistake stands in line 3.
		write(filepath.Join("scripts", file), "-- A script with a mistake.\n\n"+script+"\n")
		config.WriteString("  - {name: " + strings.ReplaceAll(name, " ", "_") + ", domains: [" + strings.ReplaceAll(name, " ", "-") + ".example], lua_routes: [" + file + "]}\n")
	}
	write("config.yaml", config.String())
	stdout, stderr, code := runBinary(t, "check", "-config", filepath.Join(directory, "config.yaml"))
	if code != 1 {
		t.Errorf("check ended with %d, want 1; it printed %.300q", code, stdout)
	}
	if strings.Contains(stderr, "goroutine ") {
		t.Errorf("check panicked: %.3000s", stderr)
	}
	for _, file := range names {
		if !strings.Contains(stderr, file+":3:") {
			t.Errorf("check doesn't name %s:3; it says:\n%s", file, linesWith(stderr, file))
		}
	}
}

// linesWith returns the lines that have a text in them.
func linesWith(text, part string) string {
	var found strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// TestLuaCheckWarns checks what `check` says of scripts that load.
func TestLuaCheckWarns(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.lua", `
chi.get("/x", function(request, response) respones:write("typo") end)
chi.mount("/files", function(request, response) end)
`)
	write("fine.lua", `chi.get("/x", function(request, response) response:write(json.encode({}), os.time(), request:param("x") or "") end)`)
	config := func(script string) string {
		write("config.yaml", "lua_routing: {enabled: true, scripts_dir: .}\ntenants:\n  - {name: a, domains: [a.example], lua_routes: ["+script+"]}\n")
		return filepath.Join(directory, "config.yaml")
	}
	stdout, stderr, code := runBinary(t, "check", "-config", config("a.lua"))
	if said := stdout + stderr; code != 0 || !strings.Contains(said, "a.lua:2:") || !strings.Contains(said, `"respones"`) {
		t.Errorf("check ended with %d and says nothing of the undefined global: %s", code, said)
	}
	stdout, stderr, code = runBinary(t, "check", "-config", config("fine.lua"))
	if said := stdout + stderr; code != 0 || strings.Contains(said, "fine.lua:") {
		t.Errorf("check ended with %d and complains of nothing: %s", code, said)
	}
}
