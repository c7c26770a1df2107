package streams

import (
	"runtime"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// room makes room for so many bytes in what is to be written. It needs c.mu.
func (c *Conn) room(n int) {
	need := len(c.out) + n
	if need <= cap(c.out) {
		return
	}
	var larger []byte
	switch {
	case need <= memory.SmallBuffer:
		larger = c.acquire(memory.SmallBuffer)
	case need <= memory.LargeBuffer:
		larger = c.acquire(memory.LargeBuffer)
	default: // heads and control frames beyond what content may take
		larger = make([]byte, 0, need+memory.SmallBuffer)
	}
	larger = append(larger, c.out...)
	c.free(c.out)
	c.out = larger
}

func (c *Conn) acquire(size int) []byte {
	if size == memory.LargeBuffer {
		c.server.Memory.Hold(memory.LargeBuffer)
	}
	return memory.AcquireBuffer(size)[:0]
}

func (c *Conn) free(buf []byte) {
	if cap(buf) == memory.LargeBuffer {
		c.server.Memory.Release(memory.LargeBuffer)
	}
	memory.ReleaseBuffer(buf)
}

// control makes room for a frame that answers one of the client's, who may not read
// any. It needs c.mu.
func (c *Conn) control(n int) error {
	if len(c.out)+n > maxControl {
		return c.calmed(Unread)
	}
	c.room(n)
	return nil
}

// wake has the writer write what there is. It needs c.mu.
func (c *Conn) wake() {
	if c.writing || len(c.out) == 0 || c.err != nil {
		return
	}
	c.writing = true
	go c.writeFn()
}

// soon is how little is written only after others have had a chance to add to it.
const soon = 4 << 10

// write is the writer: it writes until nothing is left. While it writes, streams
// gather what comes next.
func (c *Conn) write() {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
			c.o.Sock.Abort(exchange.ErrClientGone)
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > 0 && c.err == nil {
		if len(c.out) < soon {
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		batch := c.out
		c.out, c.spare = c.spare[:0], nil
		c.gen++
		c.mu.Unlock()
		c.o.Sock.SetWriteLimits(c.writeIdle.Load(), 0, 0)
		_, err := c.o.Conn.Write(batch)
		c.mu.Lock()
		if c.spare = batch; len(c.out) > 0 || cap(batch) > memory.LargeBuffer {
			c.keepSpare()
		}
		if err != nil {
			c.failAll(err)
			break
		}
		c.grant()
	}
	c.free(c.out)
	c.free(c.spare)
	c.out, c.spare, c.writing = nil, nil, false
	c.gen++
	c.quiet.Broadcast()
}

// keepSpare gives a buffer back that isn't worth keeping. It needs c.mu.
func (c *Conn) keepSpare() {
	if cap(c.spare) > memory.LargeBuffer {
		c.free(c.spare)
		c.spare = nil
	}
}

// resetFor ends a stream because of what the client has sent on it, and the
// connection if that happens too often.
func (c *Conn) resetFor(wrong *http2.StreamError) error {
	if err := c.calm(&c.budgets.resets, resets, Resets); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.control(updateLen); err != nil {
		return err
	}
	c.reset.add(wrong.Stream)
	c.out = http2.AppendReset(c.out, wrong.Stream, wrong.Code)
	c.wake()
	if s := c.streams[wrong.Stream]; s != nil {
		s.giveUp(exchange.ErrClientGone)
	}
	return nil
}
