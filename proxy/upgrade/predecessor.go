package upgrade

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// Predecessor is the process whose place this one is to take. Its methods are for
// one goroutine.
type Predecessor struct {
	State
	control net.Conn
	decoder *json.Decoder // of control
	stderr  *os.File      // proper
}

// inheritTimeout bounds the wait for what a predecessor says at once.
const inheritTimeout = 10 * time.Second

// Inherit gives sockets those of the predecessor; it is nil where there is none.
func Inherit(sockets *listener.Sockets) (*Predecessor, error) {
	if os.Getenv(variable) == "" {
		return nil, nil
	}
	_ = os.Unsetenv(variable)
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(stderrFD)
	p := &Predecessor{stderr: os.NewFile(stderrFD, "stderr")}
	var err error
	if p.control, err = connOf(controlFD); err != nil {
		return nil, fmt.Errorf("cannot reach the process that has started this one for an upgrade: %w", err)
	}
	p.decoder = json.NewDecoder(p.control)
	_ = p.control.SetReadDeadline(time.Now().Add(inheritTimeout))
	if err := p.decoder.Decode(&p.State); err != nil {
		return nil, fmt.Errorf("cannot learn from process %d what there is to take over: %w", os.Getppid(), err)
	}
	_ = p.control.SetReadDeadline(time.Time{})
	sockets.Relate(p.PID, "which this one is to replace, and which has opened it since, by a reload: upgrade again")
	for i, socket := range p.Sockets {
		socket.FD = firstInherit + i
		if err := sockets.Give(socket); err != nil {
			return nil, fmt.Errorf("cannot take over the socket %q: %w", socket.Address, err)
		}
	}
	return p, nil
}

// Stderr is the standard error that the process has from TakeOver on; until then
// os.Stderr leads to the predecessor.
func (p *Predecessor) Stderr() *os.File { return p.stderr }

// TakeOver tells the predecessor that this process is ready, and returns when that
// has stopped accepting, or is gone.
func (p *Predecessor) TakeOver() (order Order, err error) {
	defer func() { _ = p.control.Close() }()
	_ = p.control.SetWriteDeadline(time.Now().Add(tellTimeout))
	err = json.NewEncoder(p.control).Encode(ready{true})
	if err == nil {
		err = p.decoder.Decode(&order)
	}
	if redirect := unix.Dup2(int(p.stderr.Fd()), 2); redirect != nil {
		return order, fmt.Errorf("cannot take over standard error: %w", os.NewSyscallError("dup2", redirect))
	}
	if err == nil && p.Group > 0 {
		_ = unix.Setpgid(0, p.Group) // where whoever signals the group, as a terminal does, reaches it; there may be none any more
	}
	if err != nil && !gone(err) {
		return order, fmt.Errorf("cannot agree with process %d about the upgrade: %w", p.PID, err)
	}
	return order, nil
}
