package socket

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// parkReading runs try inside the poller until it is done. A wake-up by the
// sweeper that came too late for its own read is told from a real one by the
// expiry, and ignored.
func (c *Conn) parkReading(try func(uintptr) bool) error {
	for {
		err := c.rc.Read(try)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		_ = c.nc.SetReadDeadline(time.Time{})
		if cause := c.abort.Load(); cause != nil { // after the line above, or Abort's wake-up is lost
			return *cause
		}
		if at := c.readExpiry.Load(); at != 0 && Nanotime() >= at {
			return ErrTimeout
		}
	}
}

func (c *Conn) parkWriting(try func(uintptr) bool) error {
	err := c.parkUntilWritten(try)
	c.wsent += int64(c.wn)
	if c.wparked >= 0 {
		c.endWait()
	}
	return err
}

func (c *Conn) parkUntilWritten(try func(uintptr) bool) error {
	for {
		err := c.rc.Write(try)
		if err == nil {
			if c.werr != 0 {
				return os.NewSyscallError("write", c.werr)
			}
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		_ = c.nc.SetWriteDeadline(time.Time{})
		if cause := c.abort.Load(); cause != nil { // after the line above, or Abort's wake-up is lost
			return *cause
		}
		if at := c.writeExpiry.Load(); at != 0 && Nanotime() >= at {
			return ErrTimeout
		}
	}
}

func (c *Conn) readResult(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case c.rn < 0:
		return 0, os.NewSyscallError("read", syscall.Errno(-c.rn))
	case c.rn == 0:
		return 0, io.EOF
	}
	return c.rn, nil
}
