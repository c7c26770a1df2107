package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestDocsYAML demands that what any page shows of the configuration is one, with
// nothing but defaults around it, a part of one included.
func TestDocsYAML(t *testing.T) { //nolint:paralleltest // it sets environment variables
	dir := t.TempDir()
	for _, name := range []string{"admin-token", "probe", "api-key", "jwt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("thirty-two characters of a secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ADMIN_TOKEN", "thirty-two characters of a secret")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	blocks := 0
	for _, file := range pages(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line, b := range codeBlocks(string(text)) {
			if b.language != "yaml" {
				if keys := topKeys.FindString(b.text); keys != "" && !slices.Contains([]string{"console", "json", "lua", "go"}, b.language) {
					t.Errorf("%s:%d: a block of the language %q has %q in it: if it's a configuration, call it yaml", file, line, b.language, keys)
				}
				continue
			}
			block := b.text
			blocks++
			block = strings.NewReplacer("/run/secrets/", dir+"/", "file:secrets/", "file:"+dir+"/").Replace(block)
			if strings.HasPrefix(strings.TrimSpace(block), "- ") {
				block = "tenants:\n" + block
			}
			if !strings.Contains(block, "tenants:") {
				block += "tenants: [{name: any, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n"
			}
			config, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte(block))
			if err == nil { // the scripts, and what is built for a tenant, such as its policies
				_, err = proxy.CheckScripts(filepath.Join(dir, "config.yaml"), config)
			}
			for wrong := range strings.Lines(fmt.Sprint(err)) {
				if err != nil && !namesNoFile(wrong) {
					t.Errorf("%s:%d: %s\n%s", file, line, wrong, block)
				}
			}
		}
	}
	if blocks < 14 {
		t.Errorf("%d blocks of YAML on all pages, want at least 14", blocks)
	}
}

// pages are all pages of the repository.
func pages(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"../*.md", "../*/*.md", "../*/*/*.md", "../*/*/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}

// topKeys finds what only a configuration has at the beginning of a line.
var topKeys = regexp.MustCompile(`(?m)^(tenants|server|admin|lua|lua_routing|access_log|upstream|compression|request_limits|tls|listeners): *($|[{\[])`)

// codeBlock is what stands between fences.
type codeBlock struct{ language, text string }

// codeBlocks yields the fenced blocks, indented ones too, by the lines before them.
func codeBlocks(text string) func(yield func(int, codeBlock) bool) {
	return func(yield func(int, codeBlock) bool) {
		var block strings.Builder
		begin, fence, language := 0, "", ""
		for i, line := range strings.Split(text, "\n") {
			bare := strings.TrimLeft(line, " >")
			switch {
			case begin == 0 && (strings.HasPrefix(bare, "```") || strings.HasPrefix(bare, "~~~")):
				begin, fence = i+1, line[:len(line)-len(bare)]
				language = strings.TrimSpace(strings.ToLower(strings.TrimLeft(bare, "`~")))
			case begin > 0 && (strings.HasPrefix(bare, "```") || strings.HasPrefix(bare, "~~~")):
				if !yield(begin, codeBlock{strings.Replace(language, "yml", "yaml", 1), block.String()}) {
					return
				}
				begin = 0
				block.Reset()
			case begin > 0:
				fmt.Fprintln(&block, strings.TrimPrefix(line, fence))
			}
		}
	}
}

// namesNoFile says that an error is about a file of the reader's own.
func namesNoFile(text string) bool {
	return strings.Contains(text, "there is no such file") || strings.Contains(text, "there is no such directory") || strings.Contains(text, `scripts_dir "scripts" can't be opened`)
}
