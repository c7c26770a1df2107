package listener

import (
	"net"
	"syscall"
)

// maxDropped bounds what is dropped of a refused client's request, in bytes.
const maxDropped = 64 << 10

// dropArrived takes what has been sent already: to close a connection with
// bytes unread is to reset it, which can destroy the answer (RFC 9112 §9.6).
func dropArrived(nc net.Conn) {
	conn, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		var buf [4 << 10]byte
		for dropped := 0; dropped < maxDropped; dropped += len(buf) {
			if n, err := syscall.Read(int(fd), buf[:]); n <= 0 || err != nil {
				break
			}
		}
		return true // without waiting for more
	})
}
