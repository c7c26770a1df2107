package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestDocsYAML demands that what README and docs/ show of the configuration is
// one, with nothing but defaults around it.
func TestDocsYAML(t *testing.T) { //nolint:paralleltest // it sets environment variables
	dir := t.TempDir()
	for _, name := range []string{"admin-token", "probe", "api-key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("thirty-two characters of a secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ADMIN_TOKEN", "thirty-two characters of a secret")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line, block := range yamlBlocks(string(text)) {
			blocks++
			block = strings.NewReplacer("/run/secrets/", dir+"/", "file:secrets/", "file:"+dir+"/").Replace(block)
			if strings.HasPrefix(strings.TrimSpace(block), "- ") {
				block = "tenants:\n" + block
			}
			if !strings.Contains(block, "tenants:") {
				block += "tenants: [{name: any, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n"
			}
			_, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte(block))
			for wrong := range strings.Lines(fmt.Sprint(err)) {
				if err != nil && !namesNoFile(wrong) {
					t.Errorf("%s:%d: %s\n%s", file, line, wrong, block)
				}
			}
		}
	}
	if blocks < 14 {
		t.Errorf("%d blocks of YAML in README and docs, want at least 14", blocks)
	}
}

// yamlBlocks yields the fenced blocks of YAML, by the lines before them.
func yamlBlocks(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		var block strings.Builder
		begin := 0
		for i, line := range strings.Split(text, "\n") {
			switch {
			case begin == 0 && line == "```yaml":
				begin = i + 1
			case begin > 0 && line == "```":
				if !yield(begin, block.String()) {
					return
				}
				begin = 0
				block.Reset()
			case begin > 0:
				fmt.Fprintln(&block, line)
			}
		}
	}
}

// namesNoFile says that an error is about a file of the reader's own.
func namesNoFile(text string) bool {
	return strings.Contains(text, "there is no such file") || strings.Contains(text, `scripts_dir "scripts" can't be opened`)
}
