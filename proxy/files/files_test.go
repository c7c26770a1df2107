package files_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

const limit = 1000

// tree makes files and links: a text is a file's, "-> x" a link to x, "pipe",
// "socket" and "directory" are what they say.
func tree(t *testing.T, entries map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "f") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, what := range entries {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if target, ok := strings.CutPrefix(what, "-> "); ok {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			switch what {
			case "pipe":
				err = errors.Join(err, unix.Mkfifo(path, 0o600))
			case "socket":
				var l net.Listener
				if l, err = net.Listen("unix", path); err == nil {
					t.Cleanup(func() { _ = l.Close() })
				}
			case "directory":
				err = os.MkdirAll(path, 0o700)
			default:
				err = errors.Join(err, os.WriteFile(path, []byte(what), 0o600))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// soon fails a test whose f waits.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: it waits", what)
	}
}

// TestDir: nothing but regular files, and nothing outside.
func TestDir(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"good/secret.lua": "secret", "good/lib/deep.lua": "deep",
		"evil/own.lua": "own", "evil/lib/x.lua": "x",
		"evil/inside.lua":   "-> lib/x.lua",
		"evil/around.lua":   "-> lib/../lib/./x.lua",
		"evil/outin.lua":    "-> ../evil/own.lua",
		"evil/thief.lua":    "-> ../good/secret.lua",
		"evil/twice.lua":    "-> thief.lua",
		"evil/libs":         "-> ../good",
		"evil/lib/up.lua":   "-> ../../good/secret.lua",
		"evil/absolute.lua": "-> /etc/passwd",
		"evil/zero.lua":     "-> /dev/zero",
		"evil/circle.lua":   "-> circle.lua",
		"evil/pipe.lua":     "pipe",
		"evil/topipe.lua":   "-> pipe.lua",
		"evil/socket.lua":   "socket",
		"evil/dir.lua":      "directory",
		"evil/pipes":        "pipe",
		"evil/large.lua":    strings.Repeat("x", limit+1),
		"evil/full.lua":     strings.Repeat("x", limit),
		"evil/empty.lua":    "",
		"evil/gone.lua":     "-> nowhere.lua",
		"piped":             "pipe",
		"stolen":            "-> good",
		"stolenlib":         "-> good/lib",
		"released":          "-> .releases/7",
		".releases/7/m.lua": "seven", ".releases/7/up.lua": "-> ../../evil/own.lua",
		"outside":      "-> ..",
		"shared.lua":   "shared",
		"link.lua":     "-> .data/l.lua",
		".data/l.lua":  "linked",
		"main.lua":     "-> evil/own.lua",
		"released.lua": "-> .releases/7/m.lua",
		"out.lua":      "-> ../x.lua",
		"common/a.lua": "common", "common/s.lua": "-> ../good/secret.lua",
	})
	d := files.Dir{Path: dir, Owners: files.NewOwners([]string{"good", "evil", "piped", "stolen", "stolenlib", "released", "outside", "absent"})}
	anything := errors.New("any error")
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{"shared.lua", "shared", nil},
		{"link.lua", "linked", nil},
		{"good/secret.lua", "secret", nil},
		{"evil/own.lua", "own", nil},
		{"evil/lib/x.lua", "x", nil},
		{"evil//lib/./x.lua", "x", nil},
		{"evil/inside.lua", "x", nil},
		{"evil/around.lua", "x", nil},
		{"evil/empty.lua", "", nil},
		{"evil/full.lua", strings.Repeat("x", limit), nil},
		{"released/m.lua", "seven", nil},
		{"common/a.lua", "common", nil},

		{"evil/outin.lua", "", files.ErrOutside},
		{"evil/thief.lua", "", files.ErrOutside},
		{"evil/twice.lua", "", files.ErrOutside},
		{"evil/libs/secret.lua", "", files.ErrOutside},
		{"evil/lib/up.lua", "", files.ErrOutside},
		{"evil/../good/secret.lua", "", files.ErrOutside},
		{"evil/lib/../../good/secret.lua", "", files.ErrOutside},
		{"common/s.lua", "", files.ErrOutside},
		{"released/up.lua", "", files.ErrOutside},
		{"evil/absolute.lua", "", files.ErrOutside},
		{"evil/zero.lua", "", files.ErrOutside},
		{"out.lua", "", files.ErrOutside},
		{"../x.lua", "", files.ErrOutside},
		{"outside/x.lua", "", files.ErrOutside},
		{"stolen/secret.lua", "", files.ErrForeign},
		{"stolenlib/deep.lua", "", files.ErrForeign},
		{"main.lua", "", files.ErrForeign},
		{"released.lua", "", files.ErrForeign},
		{"evil/pipe.lua", "", files.ErrNotRegular},
		{"evil/topipe.lua", "", files.ErrNotRegular},
		{"evil/socket.lua", "", files.ErrNotRegular},
		{"evil/dir.lua", "", files.ErrNotRegular},
		{"evil/", "", files.ErrNotRegular},
		{"evil/..", "", files.ErrNotRegular},
		{"evil/large.lua", "", files.ErrTooLarge},
		{"evil/gone.lua", "", fs.ErrNotExist},
		{"absent/x.lua", "", fs.ErrNotExist},
		{"evil/circle.lua", "", anything},
		{"evil/pipes/x.lua", "", anything},
		{"piped/x.lua", "", anything},
		{"shared.lua/x.lua", "", anything},
	} {
		soon(t, c.name, func() {
			got, _, err := d.Read(c.name, limit)
			if string(got) != c.want || (err != nil) != (c.err != nil) || c.err != nil && c.err != anything && !errors.Is(err, c.err) {
				t.Errorf("%s: got %q, %v; expected %q, %v", c.name, got, err, c.want, c.err)
			}
		})
	}
}

// TestDirDepth: a path can't have any number of descriptors opened.
func TestDirDepth(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 150) + "x.lua"
	dir := tree(t, map[string]string{"evil/" + deep: "x", "evil/x.lua": "-> " + deep})
	for _, name := range []string{"evil/" + deep, "evil/x.lua"} {
		if _, _, err := (files.Dir{Path: dir}).Read(name, limit); err == nil {
			t.Errorf("%.20s: no error", name)
		}
	}
}

// TestDirExchanged: directories that become links while they are looked at lead
// nowhere else.
func TestDirExchanged(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"good/lib/x.lua": "secret", "evil/real/x.lua": "own", "evil/link": "-> ../good/lib"})
	d := files.Dir{Path: dir, Owners: files.NewOwners([]string{"good", "evil"})}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		at := func(name string) string { return filepath.Join(dir, "evil", name) }
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(at("real"), at("lib"))
			_ = os.Rename(at("lib"), at("real"))
			_ = os.Rename(at("link"), at("lib"))
			_ = os.Rename(at("lib"), at("link"))
		}
	}()
	seen := 0
	for range 20_000 {
		got, _, err := d.Read("evil/lib/x.lua", limit)
		if err == nil && string(got) != "own" {
			t.Fatalf("got %q", got)
		}
		if err == nil {
			seen++
		}
	}
	close(stop)
	<-done
	t.Logf("read %d times", seen)
}

// TestRead: the operator's files may be anywhere, but are regular ones too.
func TestRead(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "text", "link": "-> a", "pipe": "pipe", "large": strings.Repeat("x", limit+1)})
	for name, want := range map[string]error{
		"a": nil, "link": nil, "pipe": files.ErrNotRegular, ".": files.ErrNotRegular, "large": files.ErrTooLarge, "b": fs.ErrNotExist,
		"/dev/zero": files.ErrNotRegular, "/dev/tty": files.ErrNotRegular,
	} {
		path := name
		if !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
		}
		soon(t, name, func() {
			got, err := files.Read(path, limit)
			if !errors.Is(err, want) || want == nil && string(got) != "text" {
				if name == "/dev/tty" && errors.Is(err, fs.ErrNotExist) {
					return
				}
				t.Errorf("%s: got %q, %v; expected %v", name, got, err, want)
			}
		})
	}
	if got, err := files.Read("/proc/self/status", 1<<20); !errors.Is(err, fs.ErrNotExist) && (err != nil || len(got) == 0) {
		t.Errorf("a file whose size is said to be 0: %q, %v", got, err)
	}
	soon(t, "pipe", func() {
		if _, err := files.OpenLog(filepath.Join(dir, "pipe"), true); err == nil {
			t.Error("a log that nobody reads: no error")
		}
	})
	if !files.Begins(filepath.Join(dir, "a"), "tex") || files.Begins(filepath.Join(dir, "a"), "texts") || files.Begins(filepath.Join(dir, "pipe"), "t") {
		t.Error("Begins is wrong")
	}
}

// TestStamp: a file that has certainly not changed needn't be read again.
func TestStamp(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "text"})
	_, fresh, err := files.Dir{Path: dir}.Read("a", limit)
	if err != nil || fresh.Holds(dir, "a") {
		t.Errorf("a file that was just written holds, or %v", err)
	}
	if (&files.Stamp{}).Holds(dir, "a") {
		t.Error("nothing holds")
	}
}

// FuzzDir: whatever names and links there are, only what is below evil, or is
// nobody's, is read.
func FuzzDir(f *testing.F) {
	for _, seed := range [][3]string{
		{"evil/l/x.lua", "../good", "lib"}, {"evil/l", "../good/secret.lua", "x"}, {"l.lua", "good/secret.lua", "good"},
		{"evil/l/m", "lib", "../../good/secret.lua"}, {"t/secret.lua", "good", "."}, {"evil/l", "m", "l"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, name, one, two string) {
		if strings.HasPrefix(name, "good") || len(name) > 200 || strings.Contains(name, "/good/") {
			return
		}
		dir := t.TempDir()
		for _, sub := range []string{"good", "evil"} {
			if err := os.MkdirAll(filepath.Join(dir, "scripts", sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "scripts/good/secret.lua"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"evil/l", "l.lua", "t"} {
			_ = os.Symlink(one, filepath.Join(dir, "scripts", at))
		}
		_ = os.Symlink(two, filepath.Join(dir, "scripts/evil/m"))
		d := files.Dir{Path: filepath.Join(dir, "scripts"), Owners: files.NewOwners([]string{"good", "evil", "t"})}
		if got, _, err := d.Read(name, limit); err == nil && string(got) == "secret" && !strings.HasPrefix(filepath.Clean(name), "good/") {
			t.Errorf("%q with links to %q and %q reads the secret", name, one, two)
		}
	})
}
