package lua

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// fixedClock is a time that doesn't pass.
type fixedClock struct{}

func (fixedClock) Now() time.Time                       { return time.Unix(1, 0) }
func (fixedClock) Sleep(context.Context, time.Duration) {}

// TestBrokenCodeIsForgotten: of scripts that could not be loaded the code is kept, so that
// the next load needn't compile it, unless it is much.
func TestBrokenCodeIsForgotten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		calls int
		fails bool
		kept  int
	}{{10, true, 1}, {40_000, true, 0}, {10, false, 1}, {40_000, false, 1}} {
		dir := t.TempDir()
		text := "if NEVER then\n" + strings.Repeat("f()\n", c.calls) + fmt.Sprintf("end if %v then error('x') end", c.fails)
		if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Tenant: "a", Dir: dir, Scripts: []string{"a.lua"}, Config: DefaultConfig(), Log: zerolog.Nop(), Cache: NewCache(), Clock: fixedClock{}}
		scripts, err := Load(o)
		if (err != nil) != c.fails {
			t.Fatal(err)
		}
		if err == nil {
			t.Cleanup(scripts.Close)
		}
		o.Cache.mu.Lock()
		kept := len(o.Cache.entries)
		o.Cache.mu.Unlock()
		if kept != c.kept {
			t.Errorf("of %d calls, failing %v: %d files are kept, want %d", c.calls, c.fails, kept, c.kept)
		}
	}
}
