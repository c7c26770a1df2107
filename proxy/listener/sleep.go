package listener

import (
	"errors"
	"fmt"
)

// Sleeper is who gets to know that a sleeping connection can be read.
type Sleeper interface {
	// Wake is called once, when something has arrived on the connection or the
	// client has ended it. It must not block, and may come before Sleep returns.
	Wake()
}

// errSleepless reports that nobody would wake a connection.
var errSleepless = errors.New("sleeping connections aren't watched")

// Sleep has s woken as soon as there is something to read, so that no
// goroutine need be parked on the connection until then: its stack and what
// its callers hold are several kilobytes, a sleeper is some bytes. A close
// ends the sleep without a Wake.
//
// It fails on a closed connection, and unless WakeSleepers runs.
func (c *Conn) Sleep(s Sleeper) error {
	watch := c.owner.sleepers.Load()
	if watch == nil {
		return errSleepless
	}
	if err := watch.add(c, s); err != nil {
		return fmt.Errorf("cannot let the connection of %s sleep: %w", c.Peer, err)
	}
	return nil
}

// wakeNever ends a sleep before the descriptor is closed.
func (c *Conn) wakeNever() {
	if watch := c.owner.sleepers.Load(); watch != nil && c.slept.Load() {
		watch.remove(c)
	}
}
