package upstream

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Expiry returns the socket expiry d from now, or total where that is earlier
// and not 0.
func Expiry(d time.Duration, total int64) int64 {
	return expiry(socket.Nanotime(), d, total)
}

func expiry(now int64, d time.Duration, total int64) int64 {
	if d <= 0 {
		return total
	}
	at := now + int64(d)
	if total != 0 && total < at {
		return total
	}
	return at
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &netErr) && netErr.Timeout()
}
