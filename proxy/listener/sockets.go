package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sockets are the listening sockets of the process, of whatever listener: those
// that it was given, until somebody listens on their addresses, and those that
// are open, which can be handed on. The zero value is ready, its methods may be
// called at once.
type Sockets struct {
	mu      sync.Mutex
	given   []*openSocket // nobody has asked for them yet
	open    []*openSocket
	related map[int]string // processes of the same gateway, and what they are
}

// Relate says what another process is that may listen on the same addresses, and what
// to do then: errors say so.
func (s *Sockets) Relate(pid int, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.related == nil {
		s.related = map[int]string{}
	}
	s.related[pid] = what
}

// taken is an error that says who listens at an address, as far as it shows; err is
// what is known otherwise.
func (s *Sockets) taken(network, address string, err error) error {
	who, pid := holder(network, address)
	switch {
	case who == "":
		return err
	case pid == os.Getpid():
		return fmt.Errorf("the address is in use by this process (pid %d) itself", pid)
	case s == nil:
		return fmt.Errorf("%w, %s", err, who)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if what := s.related[pid]; what != "" {
		return fmt.Errorf("the address is in use by process %d, %s", pid, what)
	}
	return fmt.Errorf("%w, %s", err, who)
}

// Socket is a listening socket that passes from process to process.
type Socket struct {
	// Address is where somebody was configured to listen, as it was written; empty
	// where a service manager has opened the socket.
	Address string `json:"address"`
	// Name is what the service manager calls it.
	Name string `json:"name,omitempty"`
	// Owned says that a Unix socket's file is the gateway's, to remove at the end.
	Owned bool `json:"owned"`
	// File is a Unix socket's.
	File FileID `json:"file"`
	// FD is the descriptor, in the process that has the value.
	FD int `json:"-"`
}

type openSocket struct {
	Socket
	inner  net.Listener
	unlink bool // its file is removed at its end
}

// Give has the process listen with a socket that it has inherited. The
// descriptor is closed, or belongs to the Sockets, from now on.
func (s *Sockets) Give(socket Socket) error {
	unix.CloseOnExec(socket.FD)
	// It must not be made blocking even for a moment, in which another process that
	// accepts on it would block: a file that is non-blocking stays so.
	err := unix.SetNonblock(socket.FD, true)
	file := os.NewFile(uintptr(socket.FD), socket.Name)
	if file == nil {
		return fmt.Errorf("%d is no descriptor", socket.FD)
	}
	defer func() { _ = file.Close() }()
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	accepts, err := unix.GetsockoptInt(socket.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || accepts == 0 {
		return errors.New("it is no socket that listens for connections")
	}
	// Connections of this one get keep-alive probes, which cost four system calls
	// each: of a socket that Go hasn't made, it can't be asked not to.
	inner, err := net.FileListener(file)
	if err != nil {
		return err
	}
	if tcp, ok := inner.(*net.TCPListener); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = defers("tcp", "", raw) // only a saving
		}
	}
	setUnlink(inner, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = append(s.given, &openSocket{Socket: socket, inner: inner})
	return nil
}

// Claim has the files of Unix sockets that were given, and are the gateway's, go
// with their listeners from now on: no other process listens there any more.
func (s *Sockets) Claim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		o.unlink = o.Owned
	}
}

// CloseRest closes what was given and nobody listens on, and returns what it was.
func (s *Sockets) CloseRest() (closed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.given {
		text := g.inner.Addr().String()
		if g.Name != "" {
			text += " (" + g.Name + ")"
		}
		closed = append(closed, text)
		g.unlink = g.Owned
		_ = g.end()
	}
	s.given = nil
	return closed
}

// Duplicate returns copies of the descriptors of all that is open, for another
// process. The caller closes them.
func (s *Sockets) Duplicate() (list []Socket, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		socket := o.Socket
		if socket.FD, err = duplicate(o.inner); err != nil {
			for _, done := range list {
				_ = unix.Close(done.FD)
			}
			return nil, fmt.Errorf("cannot hand on the socket %s: %w", o.inner.Addr(), err)
		}
		list = append(list, socket)
	}
	return list, nil
}

// Leave has the files of Unix sockets stay when their listeners are closed:
// another process listens there.
func (s *Sockets) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		o.unlink = false
	}
}

// take returns the socket that was given for an address; nil if there is none.
func (s *Sockets) take(network, address string, opts *Options) (net.Listener, error) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.given, func(g *openSocket) bool { return g.Address == opts.Address })
	if at < 0 {
		at = slices.IndexFunc(s.given, func(g *openSocket) bool { return isAt(g.inner.Addr(), network, address) })
	}
	if at < 0 {
		return nil, nil
	}
	socket := s.given[at]
	if network == "unix" {
		if err := socket.admit(address, opts); err != nil {
			return nil, fmt.Errorf("cannot listen on %q with the socket that was passed: %w", opts.Address, err)
		}
	}
	s.given = slices.Delete(s.given, at, at+1)
	socket.Address = opts.Address
	s.open = append(s.open, socket)
	return socket.inner, nil
}

// admit gives the file of a Unix socket its mode and owner, if it is the gateway's;
// a service manager's must not be open to more.
func (o *openSocket) admit(path string, opts *Options) error {
	if o.Owned {
		return guard(path, o.File, opts.Mode, opts.Owner)
	}
	if opts.Mode == 0 {
		return nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&^opts.Mode.Perm() != 0 {
		err = fmt.Errorf("its mode is %#o, expected %#o (SocketMode= of the socket's unit)", info.Mode().Perm(), opts.Mode.Perm())
	}
	return err
}

// add notes a socket that the process has opened itself.
func (s *Sockets) add(inner net.Listener, address string, file FileID) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	setUnlink(inner, false)
	s.open = append(s.open, &openSocket{Socket{Address: address, Owned: true, File: file}, inner, true})
}

// close closes a socket, which can't be handed on any more.
func (s *Sockets) close(inner net.Listener) error {
	if s == nil {
		return inner.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.open, func(o *openSocket) bool { return o.inner == inner })
	if at < 0 {
		return inner.Close()
	}
	o := s.open[at]
	s.open = slices.Delete(s.open, at, at+1)
	return o.end()
}

// isAt reports whether a socket is where somebody is to listen.
func isAt(at net.Addr, network, address string) bool {
	if path, ok := at.(*net.UnixAddr); ok {
		absolute, err := filepath.Abs(address)
		return network == "unix" && err == nil && (path.Name == address || filepath.Clean(path.Name) == absolute)
	}
	tcp, ok := at.(*net.TCPAddr)
	if !ok || network != "tcp" || strings.HasSuffix(address, ":0") {
		return false
	}
	wanted, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || wanted.Port != tcp.Port {
		return false
	}
	anywhere := len(wanted.IP) == 0 || wanted.IP.IsUnspecified() // ":443", "0.0.0.0:443" and "[::]:443" are one to Go
	return anywhere && tcp.IP.IsUnspecified() || wanted.IP.Equal(tcp.IP) && wanted.Zone == tcp.Zone
}

// setUnlink says whether a Unix socket's file is removed at its end.
func setUnlink(inner net.Listener, unlink bool) {
	if l, ok := inner.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(unlink)
	}
}

// duplicate copies a descriptor. net's File would make the socket blocking, for
// every process that has it.
func duplicate(inner net.Listener) (fd int, err error) {
	conn, ok := inner.(syscall.Conn)
	if !ok {
		return -1, errors.New("BUG: it has no descriptor")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = raw.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, os.NewSyscallError("fcntl", failed))
}
