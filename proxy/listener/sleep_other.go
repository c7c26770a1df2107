//go:build !linux

package listener

import "context"

// sleepers don't exist here; see sleep_linux.go.
type sleepers struct{}

// WakeSleepers returns at once: every connection keeps its goroutine.
func (l *Listener) WakeSleepers(context.Context) error { return nil }

func (*sleepers) add(*Conn, Sleeper) error { return errSleepless }
func (*sleepers) remove(*Conn)             {}
