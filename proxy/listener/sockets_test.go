package listener_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// opened is the descriptor of a socket that another process could have opened.
func opened(t *testing.T, network, address string) (socket listener.Socket, at net.Addr) {
	t.Helper()
	inner, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if l, ok := inner.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	defer func() { _ = inner.Close() }()
	file, err := inner.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0) // which is blocking now, as systemd's are
	if err != nil {
		t.Fatal(err)
	}
	return listener.Socket{FD: fd, Name: "web"}, inner.Addr()
}

func listenWith(t *testing.T, sockets *listener.Sockets, address string) *listener.Listener {
	t.Helper()
	l, err := listener.Listen(listener.Options{Address: address, Sweeper: socket.NewSweeper(), Sockets: sockets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// talk sends a byte through a listener.
func talk(t *testing.T, l *listener.Listener, network, address string) {
	t.Helper()
	client, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestGiven: which socket belongs to which address.
func TestGiven(t *testing.T) {
	t.Parallel()
	port := func(at net.Addr) string { return at.String()[strings.LastIndexByte(at.String(), ':'):] }
	path := filepath.Join(t.TempDir(), "a.sock")
	for name, test := range map[string]struct {
		network, at string
		address     func(at net.Addr) string
	}{
		"one address":          {"tcp", "127.0.0.1:0", net.Addr.String},
		"any address":          {"tcp", ":0", port},
		"any address of IPv4":  {"tcp4", "0.0.0.0:0", port},
		"any, written as IPv4": {"tcp", ":0", func(at net.Addr) string { return "0.0.0.0" + port(at) }},
		"a name":               {"tcp", "127.0.0.1:0", func(at net.Addr) string { return "localhost" + port(at) }},
		"a path":               {"unix", path, func(net.Addr) string { return "unix:" + path }},
		"a path in other words": {"unix", path + "2", func(net.Addr) string {
			return "unix://" + filepath.Dir(path) + "/../" + filepath.Base(filepath.Dir(path)) + "/a.sock2"
		}},
	} {
		var sockets listener.Sockets
		given, at := opened(t, test.network, test.at)
		if err := sockets.Give(given); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := listenWith(t, &sockets, test.address(at))
		network, address := at.Network(), at.String()
		if network == "tcp" {
			address = "127.0.0.1" + port(at)
		}
		talk(t, l, network, address)
		if rest := sockets.CloseRest(); len(rest) != 0 {
			t.Errorf("%s: %q is left", name, rest)
		}
	}
}

// TestNotGiven: others are opened, and what nobody wants is closed and told.
func TestNotGiven(t *testing.T) {
	t.Parallel()
	var sockets listener.Sockets
	given, at := opened(t, "tcp", "127.0.0.1:0")
	if err := sockets.Give(given); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "unix:" + filepath.Join(t.TempDir(), "b.sock")} {
		listenWith(t, &sockets, address)
	}
	if rest := sockets.CloseRest(); len(rest) != 1 || rest[0] != at.String()+" (web)" {
		t.Errorf("left: %q", rest)
	}
	if conn, err := net.Dial("tcp", at.String()); err == nil {
		_ = conn.Close()
		t.Error("what nobody wants is still open")
	}
}

// TestUnusable: what is no listening socket is refused, and closed.
func TestUnusable(t *testing.T) {
	t.Parallel()
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(pipe[1]) }()
	datagram, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var sockets listener.Sockets
	for name, fd := range map[string]int{"a pipe": pipe[0], "a datagram socket": datagram} {
		if err := sockets.Give(listener.Socket{FD: fd}); err == nil {
			t.Errorf("%s is taken for a listening socket", name)
		}
	}
	if _, err := unix.Write(pipe[1], []byte("x")); err == nil {
		t.Error("a pipe that was refused is still open")
	}
}

// TestGivenMode: a socket that is open to others doesn't guard what one of the
// gateway's own would.
func TestGivenMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	given, _ := opened(t, "unix", path)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	var sockets listener.Sockets
	if err := sockets.Give(given); err != nil {
		t.Fatal(err)
	}
	options := listener.Options{Address: "unix:" + path, Mode: 0o600, Sockets: &sockets}
	if l, err := listener.Listen(options); err == nil || !strings.Contains(err.Error(), "mode") {
		t.Errorf("%v, %v", l, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listener.Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the service manager's file is gone: %v", err)
	}

	owned, _ := opened(t, "unix", path+"2")
	owned.Owned, options.Address = true, "unix:"+path+"2"
	if err := sockets.Give(owned); err != nil {
		t.Fatal(err)
	}
	if l, err = listener.Listen(options); err != nil {
		t.Fatalf("the gateway's own socket: %v", err)
	}
	defer func() { _ = l.Close() }()
	if info, err := os.Stat(path + "2"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the gateway's own socket: %v, %v, want the mode 0600", info, err)
	}
}

// TestHandOn hands sockets to a second set of them, as if that were another
// process: both accept, and the files of Unix sockets go with the last.
func TestHandOn(t *testing.T) {
	t.Parallel()
	var first, second listener.Sockets
	path := filepath.Join(t.TempDir(), "a.sock")
	tcp, local := listenWith(t, &first, "127.0.0.1:0"), listenWith(t, &first, "unix:"+path)
	closed := listenWith(t, &first, "127.0.0.1:0")
	_ = closed.Close()
	list, err := first.Duplicate()
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, s := range list {
		flags, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s has become blocking, for the first process too", s.Address)
		}
		if err := second.Give(s); err != nil {
			t.Fatal(err)
		}
	}
	tcp2, local2 := listenWith(t, &second, "127.0.0.1:0"), listenWith(t, &second, "unix:"+path)
	if rest := second.CloseRest(); len(rest) != 0 {
		t.Errorf("left: %q", rest)
	}
	if tcp2.Addr().String() != tcp.Addr().String() {
		t.Errorf("a socket whose port the system has chosen is at %s, want %s", tcp2.Addr(), tcp.Addr())
	}
	first.Leave()
	second.Claim()
	_, _ = tcp.Close(), local.Close()
	talk(t, tcp2, "tcp", tcp.Addr().String())
	talk(t, local2, "unix", path)
	_ = local2.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the Unix socket's file is left behind by the last")
	}
}
