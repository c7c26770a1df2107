package listener

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

// Introduction says who connects on behalf of others, and tells of them by a
// header of the PROXY protocol.
type Introduction struct {
	// From are the networks whose connections begin with a header, all of them:
	// whether there is one can't be guessed, or anybody behind such a sender could
	// write it. Unix says the same of peers on a Unix socket.
	From network.Set
	Unix bool
	// Others says that connections from elsewhere are served, as they are. If not
	// they are closed.
	Others bool
	// Timeout is for the whole header.
	Timeout time.Duration
}

// errStranger says that a connection was to begin with a header, and its peer is
// not one whose header would be believed.
var errStranger = errors.New("it is not in proxy_protocol.from")

// judge says what is expected of a peer, the zero Addr for one on a Unix socket.
func (i *Introduction) judge(peer netip.Addr) (header bool, err error) {
	switch {
	case i == nil:
		return false, nil
	case !peer.IsValid() && i.Unix, i.From.Contains(peer):
		return true, nil
	case i.Others:
		return false, nil
	}
	return false, errStranger
}

// ErrCrowded says that a client has too many connections already; it has been
// answered, and the connection is closed.
var ErrCrowded = errors.New("too many connections from the client's address")

// Introduce reads the header of the PROXY protocol where one is due; Peer is the
// client's address then. It is for the connection's goroutine, before anything
// else is read. After an error the connection is of no use.
func (c *Conn) Introduce() error {
	due := c.due
	if due == nil {
		return nil
	}
	c.due = nil
	c.Sock.SetReadExpiry(socket.Nanotime() + int64(due.Timeout))
	header, err := c.readHeader()
	c.Sock.SetReadExpiry(0)
	if errors.Is(err, socket.ErrTimeout) {
		return fmt.Errorf("it was not complete within proxy_protocol.timeout (%s)", due.Timeout)
	}
	if err != nil {
		return err
	}
	c.Sender, c.Introduced = c.Peer, header
	if !header.Source.IsValid() {
		return nil // it is the sender's own connection, or nobody knows whose
	}
	c.Peer = header.Source.Addr()
	if !c.owner.joinLate(c) {
		c.refuse(true)
		return ErrCrowded
	}
	return nil
}

// Due reports whether the connection has to be introduced.
func (c *Conn) Due() bool { return c.due != nil }

// readHeader takes the header off the connection and no byte more, so that
// whatever reads next, TLS or HTTP, finds what it would have found without.
func (c *Conn) readHeader() (*proxyprotocol.Header, error) {
	buf, have := make([]byte, 256), 0
	for {
		n, err := c.Sock.Peek(buf[have:])
		if errors.Is(err, io.EOF) && have > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		header, size, err := proxyprotocol.Parse(buf[:have+n])
		if err != nil && !errors.Is(err, proxyprotocol.ErrIncomplete) {
			return nil, err
		}
		taken := min(size-have, n) // of an incomplete one all that is there
		if n, err := c.Sock.Read(buf[have : have+taken]); err != nil || n != taken {
			return nil, errors.Join(err, errMoved)
		}
		if err == nil {
			return &header, nil
		}
		if have += taken; size > len(buf) {
			buf = slices.Grow(buf[:have], size-have)[:size]
		}
	}
}

// errMoved can't be: what was peeked at is still there, since nobody else reads.
var errMoved = errors.New("BUG: bytes of a PROXY header that were there are gone")
