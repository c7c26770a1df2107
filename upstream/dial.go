package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// errNoAddress is why a target whose name never resolved can't be connected to.
var errNoAddress = errors.New("its name has no address yet")

// ConnectError says that no connection to a target could be made, so that
// nothing of a request was sent.
type ConnectError struct {
	Target  string // name of the target
	Address string // host:port or socket
	Err     error
	// Setting is the time-out that has passed, with its value, if one has.
	Setting string
}

func (e *ConnectError) Error() string {
	if e.Setting != "" {
		return fmt.Sprintf("cannot connect to target %q at %s within %s", e.Target, e.Address, e.Setting)
	}
	return fmt.Sprintf("cannot connect to target %q at %s: %s", e.Target, e.Address, strings.TrimPrefix(cause.Text(e.Err), e.Address+" "))
}

// within notes which time-out has passed, if that is what has gone wrong.
func within(err error, setting string, limit time.Duration) error {
	if connect, ok := errors.AsType[*ConnectError](err); ok && connect.Timeout() {
		connect.Setting = settingText(setting, limit)
	}
	return err
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Timeout reports whether the connect timeout had passed.
func (e *ConnectError) Timeout() bool {
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return true
	}
	cause, ok := errors.AsType[net.Error](e.Err)
	return ok && cause.Timeout()
}

// over is what is spoken on a connection: what ALPN offers.
type over uint8

const (
	overHTTP1 over = iota
	overHTTP2      // or HTTP/1, where the url's scheme leaves it to the target
	overs
)

// opener opens the socket of a connection.
type opener func(ctx context.Context, network, address string) (net.Conn, error)

// dial makes a connection for the request pool: within the connect timeout of
// the settings, or the given one where that is shorter and not 0. It is the
// DialTimeout of the HostClient, which has no context to give.
func (t *Target) dial(_ string, timeout time.Duration) (_ net.Conn, err error) {
	defer t.registry.recoverInto(&err, "dial") // HostClient may call it on a goroutine of its own
	limit := t.tuned.Load().connect
	if timeout > 0 && timeout < limit {
		limit = timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if spare := t.spare.Swap(nil); spare != nil {
		return spare, nil // ALPN has chosen HTTP/1 on it
	}
	start := socket.Nanotime()
	conn, err := t.connectAside(ctx, t.openSocket)
	if err != nil {
		return nil, within(err, "timeouts.connect", limit)
	}
	return newConn(conn, time.Duration(socket.Nanotime()-start)), nil
}

// connectAside connects on a goroutine of its own, which ends with it: the
// request's stack would otherwise stay as deep as dialling is, for as long as
// the request waits for its answer.
func (t *Target) connectAside(ctx context.Context, open opener) (net.Conn, error) {
	type outcome struct {
		conn net.Conn
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() { done <- o }()
		defer t.registry.recoverInto(&o.err, "dial")
		o.conn, o.err = t.connect(ctx, open, overHTTP1)
	}()
	o := <-done
	return o.conn, o.err
}

// openSocket opens what requests use. Probes do with less: a net.Conn whose
// deadlines need no sweeper.
func (t *Target) openSocket(ctx context.Context, network, address string) (net.Conn, error) {
	giveBack, err := t.registry.options.Places.Take(t.tenant)
	if err != nil {
		return nil, err
	}
	plain, err := t.registry.options.Dial(ctx, network, address)
	if err != nil {
		giveBack()
		return nil, err
	}
	sock, err := socket.New(plain, t.registry.options.Sweeper)
	if err != nil {
		_ = plain.Close()
		giveBack()
		return nil, err
	}
	sock.OnClose = giveBack
	return sock, nil
}

// connect returns a connection that is ready for a request: what open returns,
// or TLS on it. The error is a *ConnectError. ctx must have a deadline.
func (t *Target) connect(ctx context.Context, open opener, over over) (net.Conn, error) {
	conn, err := t.connectAny(ctx, open, over)
	if err != nil {
		return nil, &ConnectError{Target: t.Name(), Address: t.address.HostPort(), Err: err}
	}
	return conn, nil
}

// connectAny tries the addresses in turn, the last good one first, until the
// deadline of ctx. Each gets its share of the time that is left, but at least a
// quarter of the whole: one that swallows packets doesn't use up the time of
// the others.
func (t *Target) connectAny(ctx context.Context, open opener, over over) (net.Conn, error) {
	if t.address.Network == "unix" {
		return t.dialAddress(ctx, t.address.Socket, open, over)
	}
	addresses, first := t.addresses()
	deadline, _ := ctx.Deadline()
	quarter := time.Until(deadline) / 4
	failed := errNoAddress
	for i := range addresses {
		ip := addresses[(first+i)%len(addresses)]
		share := max(time.Until(deadline)/time.Duration(len(addresses)-i), quarter)
		bounded, cancel := context.WithTimeout(ctx, share)
		conn, err := t.dialAddress(bounded, netip.AddrPortFrom(ip, t.address.Port).String(), open, over)
		cancel()
		if err == nil {
			if i > 0 || t.lastGood.Load() == nil {
				t.lastGood.Store(&ip)
			}
			return conn, nil
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// addresses returns the known addresses and the index of the last good one.
func (t *Target) addresses() (all []netip.Addr, first int) {
	all = t.source.Addresses()
	if good := t.lastGood.Load(); good != nil {
		for i, ip := range all {
			if ip == *good {
				return all, i
			}
		}
	}
	return all, 0
}

func (t *Target) dialAddress(ctx context.Context, address string, open opener, over over) (net.Conn, error) {
	plain, err := open(ctx, t.address.Network, address)
	how := t.tuned.Load().tls
	if err != nil || how == nil {
		return plain, err
	}
	secure := tls.Client(plain, how.configs[over])
	err = secure.HandshakeContext(ctx)
	if err == nil && over == overHTTP2 && t.address.HTTP2() && choseHTTP1(secure) {
		err = errNoHTTP2
	}
	if err != nil {
		_ = plain.Close() // the handshake's error is the one that tells
		return nil, handshakeFault(how, err)
	}
	return secure, nil
}
