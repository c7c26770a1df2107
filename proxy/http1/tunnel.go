package http1

import (
	"crypto/tls"
	"io"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Tunnel is one end of a connection on which another protocol is spoken now. One
// goroutine may receive while another sends.
type Tunnel struct {
	sink   Sink
	reader *Reader // what has been read already, and pooled buffers
}

// NewTunnel goes on with a connection, which is sock or TLS on it, where its
// reader has stopped. idle bounds a write without progress; 0 is no bound.
func NewTunnel(conn io.Writer, sock *socket.Conn, reader *Reader, idle time.Duration) *Tunnel {
	return &Tunnel{sink: Sink{Conn: conn, Sock: sock, Idle: idle}, reader: reader}
}

// Receive waits for bytes until expiry (socket.Nanotime), 0 is forever. They are
// valid until Release, which must follow before it is called again.
func (t *Tunnel) Receive(expiry int64) ([]byte, error) {
	t.sink.Sock.SetReadExpiry(expiry)
	if err := t.reader.Wait(); err != nil {
		return nil, err
	}
	return t.reader.Take(), nil
}

// Release gives up what Receive has returned.
func (t *Tunnel) Release() { t.reader.Release() }

// Send writes bytes.
func (t *Tunnel) Send(p []byte) error { return t.sink.Write(p) }

// closeTime bounds the end of a sending side.
const closeTime = int64(time.Second)

// CloseWrite ends the sending side.
func (t *Tunnel) CloseWrite() error {
	if secure, ok := t.sink.Conn.(*tls.Conn); ok {
		t.sink.Sock.SetWriteExpiry(socket.Nanotime() + closeTime)
		if err := secure.CloseWrite(); err != nil {
			return err
		}
	}
	return t.sink.Sock.CloseWrite()
}

// Abort ends what waits on either side with cause.
func (t *Tunnel) Abort(cause error) { t.sink.Sock.Abort(cause) }
