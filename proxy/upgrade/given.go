package upgrade

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// firstGiven is the first descriptor that a service manager passes.
const firstGiven = 3

// mostGiven bounds what is believed of a count.
const mostGiven = 1024

// Activation gives sockets those that the service manager has opened for this
// process (sd_listen_fds(3)), and forgets the variables that tell of them. It
// returns what can't be used, each with the reason.
func Activation(sockets *listener.Sockets) (unusable []string, err error) {
	count, owner, names := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		_ = os.Unsetenv(name)
	}
	if count == "" || owner != strconv.Itoa(os.Getpid()) {
		return nil, nil // they are another process's
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostGiven {
		return nil, fmt.Errorf("cannot take the sockets of the service manager: LISTEN_FDS is %q, expected 0 to %d", count, mostGiven)
	}
	called := strings.Split(names, ":")
	for i := range n {
		name := "unknown"
		if i < len(called) && called[i] != "" {
			name = called[i]
		}
		err := errNotPassed
		if passed(firstGiven + i) {
			err = sockets.Give(listener.Socket{Name: name, FD: firstGiven + i})
		}
		if err != nil {
			unusable = append(unusable, fmt.Sprintf("descriptor %d (%s): %v", firstGiven+i, name, err))
		}
	}
	return unusable, nil
}

var errNotPassed = errors.New("it was not passed")

// passed reports whether a descriptor was there when the process began: what it has
// opened since, for Go's own use too, is closed on exec.
func passed(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}
