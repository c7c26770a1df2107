package proxy_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

type socketCase struct {
	options string
	want    os.FileMode
}

// TestSocketsChangeTheirMode: a reload changes who may connect to a Unix socket.
func TestSocketsChangeTheirMode(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "mode") // short: addresses of sockets are
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	text := func(options string) string {
		return "listeners: [{address: 'unix:" + socket + "'" + options + "}]\nadmin: {enabled: false}\naccess_log: {enabled: false}\ntenants: [{name: a, domains: [a.example], services: [{url: 'http://127.0.0.1:1'}]}]\n"
	}
	server := serve(t, text(", mode: '0600'"))
	cases := []socketCase{{", mode: '0600'", 0o600}, {", mode: '0660'", 0o660}, {", mode: '0620', owner: '" + me.Uid + "'", 0o620}, {", mode: '0602', owner: '" + me.Uid + "'", 0o602}, {", mode: '0600', owner: ':" + me.Gid + "'", 0o600}}
	if me.Uid == "0" { // who may give it to anybody
		cases = append(cases, socketCase{", mode: '0600', owner: ':1'", 0o600}, socketCase{", mode: '0600', owner: ':0'", 0o600})
	}
	for _, c := range cases {
		if err := os.WriteFile(server.File(), []byte(text(c.options)), 0o600); err != nil {
			t.Fatal(err)
		}
		if result := server.Reload(); !result.OK {
			t.Fatalf("%s: %+v", c.options, result)
		}
		info, err := os.Stat(socket)
		if err != nil {
			t.Fatal(err)
		}
		status, ok := info.Sys().(*syscall.Stat_t)
		if _, group, named := strings.Cut(c.options, "owner: ':"); ok && named && strconv.Itoa(int(status.Gid)) != strings.TrimSuffix(group, "'") {
			t.Errorf("with %s its group is %d", c.options, status.Gid)
		}
		if got := info.Mode().Perm(); got != c.want {
			t.Errorf("with %s its mode is %o, want %o", c.options, got, c.want)
		}
	}
}
