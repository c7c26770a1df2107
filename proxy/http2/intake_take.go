package http2

import (
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Next returns the next part of the content, valid until the next call; io.EOF after
// the last one. Errors stay.
func (i *Intake) Next() ([]byte, error) {
	i.mu.Lock()
	i.recycle()
	i.returnCredit()
	if err := i.await(); err != nil {
		i.mu.Unlock()
		return nil, err
	}
	span := i.buf[i.r:i.w:i.w]
	i.view, i.buf, i.r, i.w = i.buf, nil, 0, 0
	i.take(len(span))
	i.mu.Unlock()
	return span, nil
}

// recycle takes the view back; it needs mu.
func (i *Intake) recycle() {
	if i.view == nil {
		return
	}
	if i.buf == nil {
		i.buf = i.view
	} else {
		i.free(i.view)
	}
	i.view = nil
}

// ReadInto copies what has come into p.
func (i *Intake) ReadInto(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.recycle()
	i.returnCredit()
	if err := i.await(); err != nil {
		return 0, err
	}
	n := copy(p, i.buf[i.r:i.w])
	i.r += n
	i.take(n)
	if i.r == i.w {
		i.free(i.buf)
		i.buf, i.r, i.w = nil, 0, 0
	}
	return n, nil
}

// take counts what was taken; it needs mu.
func (i *Intake) take(n int) {
	i.taken += int64(n)
	i.unread -= n
	i.size.Take(n)
}

// Ready reports whether Next would return at once.
func (i *Intake) Ready() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.unread > 0 || i.err != nil || i.ended || i.left == 0
}

// Done reports whether all has been taken.
func (i *Intake) Done() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err == io.EOF || i.err == nil && i.unread == 0 && (i.ended || i.left == 0)
}

// Read returns how much has been taken so far, in bytes.
func (i *Intake) Read() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.taken
}

// Trailer is valid after io.EOF.
func (i *Intake) Trailer() message.Header { return i.trailer }
