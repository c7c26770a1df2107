package listener

import (
	"net"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// beneath is a connection as what TLS is spoken over: its socket, from which the
// handshake finds back to the connection.
type beneath Conn

// Of returns the connection whose handshake calls, by tls.ClientHelloInfo.Conn.
func Of(conn net.Conn) *Conn {
	b, ok := conn.(*beneath)
	if !ok {
		panic("BUG: a handshake over something else than a listener's connection")
	}
	return (*Conn)(b)
}

// Read reads from the socket.
func (b *beneath) Read(p []byte) (int, error) {
	if b.hello.Load() == helloDue {
		b.hello.Store(socket.Nanotime())
	}
	return b.Sock.Read(p)
}

// Write writes to the socket.
func (b *beneath) Write(p []byte) (int, error) { return b.Sock.Write(p) }

// Close closes the connection.
func (b *beneath) Close() error { return (*Conn)(b).Close() }

// LocalAddr is the socket's.
func (b *beneath) LocalAddr() net.Addr { return b.Sock.LocalAddr() }

// RemoteAddr is the socket's.
func (b *beneath) RemoteAddr() net.Addr { return b.Sock.RemoteAddr() }

// SetDeadline is the socket's.
func (b *beneath) SetDeadline(t time.Time) error { return b.Sock.SetDeadline(t) }

// SetReadDeadline is the socket's.
func (b *beneath) SetReadDeadline(t time.Time) error { return b.Sock.SetReadDeadline(t) }

// SetWriteDeadline is the socket's.
func (b *beneath) SetWriteDeadline(t time.Time) error { return b.Sock.SetWriteDeadline(t) }
