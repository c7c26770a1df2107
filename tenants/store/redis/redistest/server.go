// Package redistest gives tests servers of Redis that they may kill, stop and start
// again. It is for tests only.
//
//	server := redistest.Start(t) // skips where there is no redis-server
//	server.Pause()               // it hangs
package redistest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// Server is one server, which keeps nothing on disk. It ends with its test.
type Server struct {
	Address string

	t       testing.TB
	options []string
	tls     *tls.Config // nil: there is none
	process *exec.Cmd
}

// program is whichever is installed.
func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("KEYSTONE_CI") != "" {
		t.Fatal("redis-server is missing, and KEYSTONE_CI is set")
	}
	t.Skip("redis-server is missing")
	return ""
}

// Start starts a server with options such as "--requirepass", "secret".
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	return start(t, nil, options)
}

func start(t testing.TB, secure *tls.Config, options []string) *Server {
	t.Helper()
	s := &Server{Address: port.Reserve(t), t: t, options: options, tls: secure}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts the server again, empty, at the same address.
func (s *Server) Restart() {
	s.t.Helper()
	host, number, _ := net.SplitHostPort(s.Address)
	ports := []string{"--port", number}
	if s.tls != nil {
		ports = []string{"--port", "0", "--tls-port", number}
	}
	s.process = exec.Command(program(s.t), append(append(ports, "--bind", host, "--save", "", "--appendonly", "no", "--dir", s.t.TempDir(), "--loglevel", "warning"), s.options...)...) // #nosec G204 -- a test's
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("cannot start a server: %v", err)
	}
	until.True(s.t, "the server answers", func() bool {
		reply, err := s.try("PING")
		return err == nil && (reply == "+PONG" || strings.HasPrefix(reply, "-NOAUTH"))
	})
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Pause has the server hang, with all of its connections, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(which syscall.Signal) {
	if err := s.process.Process.Signal(which); err != nil {
		s.t.Errorf("cannot signal the server: %v", err)
	}
}

// Do sends an inline command on a connection of its own, and returns the first line of
// the reply.
func (s *Server) Do(command string) string {
	s.t.Helper()
	reply, err := s.try(command)
	if err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
	return reply
}

// Option returns the value of an option that Start was given.
func (s *Server) Option(name string) string {
	for i := range len(s.options) - 1 {
		if s.options[i] == name {
			return s.options[i+1]
		}
	}
	return ""
}

// Holds says whether the reply to a command has that text.
func (s *Server) Holds(command, text string) bool {
	conn, err := s.dial()
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(conn, "%s\r\nQUIT\r\n", command); err != nil {
		return false
	}
	all, err := io.ReadAll(conn)
	return err == nil && strings.Contains(string(all), text)
}

func (s *Server) dial() (net.Conn, error) {
	if s.tls == nil {
		return net.Dial("tcp", s.Address)
	}
	return tls.Dial("tcp", s.Address, s.tls)
}

func (s *Server) try(command string) (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err //nolint:wrapcheck // for a test
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err = fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err //nolint:wrapcheck // as above
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err //nolint:wrapcheck // as above
}
