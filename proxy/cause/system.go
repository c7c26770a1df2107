package cause

import (
	"net"
	"strconv"
	"strings"
	"syscall"
)

// ofOperation words what went wrong with a connection or a listener, with the
// address that it was about.
func ofOperation(e *net.OpError) string {
	where := address(e)
	switch e.Op {
	case "remote error":
		return "the other side has refused the TLS handshake: " + alertText(e.Err)
	case "local error":
		return "the TLS handshake failed: " + alertText(e.Err)
	}
	number, isNumber := numberOf(e.Err)
	switch {
	case e.Op == "dial" && isNumber:
		return ofDial(number, where)
	case e.Op == "listen" && isNumber:
		return ofListen(number, where)
	case e.Op == "dial" && e.Timeout():
		return where + " didn't answer in time"
	case e.Op == "dial" || e.Op == "listen":
		return prefixed(where, Text(e.Err))
	}
	return Text(e.Err)
}

func address(e *net.OpError) string {
	if e.Addr != nil {
		return e.Addr.String()
	}
	return ""
}

func prefixed(where, text string) string {
	if where == "" || strings.Contains(text, where) {
		return text
	}
	return where + ": " + text
}

func ofDial(number syscall.Errno, where string) string {
	if where == "" {
		where = "the other side"
	}
	switch number {
	case syscall.ECONNREFUSED:
		return where + " refused the connection: nothing listens there"
	case syscall.EHOSTUNREACH, syscall.EHOSTDOWN:
		return "there is no way to " + where + ": the host can't be reached"
	case syscall.ENETUNREACH:
		return "there is no way to " + where + ": the network can't be reached"
	case syscall.ETIMEDOUT:
		return where + " didn't answer"
	case syscall.ENOENT:
		return "there is no socket " + where
	case syscall.EADDRNOTAVAIL:
		return "no local port is left for a connection to " + where
	case syscall.EINVAL:
		return where + " is no address to connect to"
	}
	return prefixed(where, ofNumber(number))
}

func ofListen(number syscall.Errno, where string) string {
	switch number {
	case syscall.EADDRINUSE:
		return where + " is in use: another process listens there"
	case syscall.EADDRNOTAVAIL:
		return where + " is no address of this machine"
	case syscall.EACCES, syscall.EPERM:
		if _, port, err := net.SplitHostPort(where); err == nil {
			if n, _ := strconv.Atoi(port); n > 0 && n < 1024 {
				return where + " may not be used: permission denied (a port below 1024 needs root, or CAP_NET_BIND_SERVICE)"
			}
		}
		return where + " may not be used: permission denied"
	case syscall.ENOENT:
		return "the directory of " + where + " doesn't exist"
	}
	return prefixed(where, ofNumber(number))
}

// numberOf finds the system's error number directly beneath an operation.
func numberOf(err error) (syscall.Errno, bool) {
	for err != nil {
		if number, ok := err.(syscall.Errno); ok { //nolint:errorlint // each error of the chain is looked at
			return number, true
		}
		wrapper, ok := err.(interface{ Unwrap() error })
		if !ok {
			return 0, false
		}
		err = wrapper.Unwrap()
	}
	return 0, false
}

// ofNumber words an error of the system by itself.
func ofNumber(number syscall.Errno) string {
	switch number {
	case syscall.ECONNREFUSED:
		return "the connection was refused"
	case syscall.ECONNRESET:
		return "the other side has reset the connection"
	case syscall.EPIPE:
		return "the other side takes nothing any more"
	case syscall.ETIMEDOUT:
		return "the other side didn't answer"
	case syscall.EMFILE:
		return "the process has as many files and connections open as it may (ulimit -n)"
	case syscall.ENFILE:
		return "the system has as many files and connections open as it may"
	case syscall.ENOENT:
		return "there is no such file"
	case syscall.ENOTDIR:
		return "a part of its path is no directory"
	case syscall.EISDIR:
		return "it is a directory"
	case syscall.EACCES, syscall.EPERM:
		return "permission denied"
	case syscall.ENOSPC:
		return "the disk is full"
	case syscall.EDQUOT:
		return "the disk's quota is used up"
	case syscall.EROFS:
		return "the file system can't be written to"
	case syscall.ENXIO:
		return "nobody reads from the pipe"
	case syscall.ELOOP:
		return "there are too many links on the way"
	case syscall.ENAMETOOLONG:
		return "its name is too long"
	case syscall.ENOMEM, syscall.ENOBUFS:
		return "the system has no memory left for it"
	case syscall.EINVAL:
		return "it isn't possible there"
	}
	return number.Error() // the system's words, which have no library in them
}

// ofPath words what is wrong with a file.
func ofPath(path string, err error) string {
	text := Text(err)
	if path == "" {
		return text
	}
	return strconv.Quote(path) + ": " + text
}

func ofLookup(e *net.DNSError) string {
	name := strconv.Quote(e.Name)
	switch {
	case e.IsNotFound:
		return "there is no address for the name " + name
	case e.IsTimeout:
		return "the name server didn't answer in time for " + name
	}
	return "the name server can't answer for " + name
}
