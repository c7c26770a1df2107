package listener_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// inTime bounds the wait for what must happen.
const inTime = time.Minute

// woken is a sleeper that tells when it is woken.
type woken chan struct{}

func (w woken) Wake() { w <- struct{}{} }

func (w woken) await(t *testing.T, after string) {
	t.Helper()
	select {
	case <-w:
	case <-time.After(inTime):
		t.Fatalf("not woken by %s", after)
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	l, stop := listen(t)
	defer stop()
	client, conn := pair(t, l)
	sleeper := make(woken, 1)
	for range 3 { // each sleep ends with what is still unread, or comes
		sleep(t, conn, sleeper)
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		sleeper.await(t, "a byte")
	}
	sleep(t, conn, sleeper)
	sleeper.await(t, "bytes that are there already")
	if _, err := conn.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	sleep(t, conn, sleeper)
	_ = client.Close()
	sleeper.await(t, "the client's end")
}

// TestSleepOfClosed closes a connection in its sleep; its descriptor's next
// connection must not wake its sleeper.
func TestSleepOfClosed(t *testing.T) {
	t.Parallel()
	l, stop := listen(t)
	defer stop()
	closed, next := make(woken, 1), make(woken, 1)
	_, conn := pair(t, l)
	sleep(t, conn, closed)
	_ = conn.Close()
	if err := conn.Sleep(closed); err == nil {
		t.Error("a closed connection sleeps")
	}
	client, conn := pair(t, l)
	sleep(t, conn, next)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	next.await(t, "a byte")
	if len(closed) != 0 {
		t.Error("the sleeper of a closed connection was woken")
	}
}

// TestSleepForgotten looks whether a closed connection's sleeper becomes garbage.
func TestSleepForgotten(t *testing.T) {
	t.Parallel()
	l, stop := listen(t)
	defer stop()
	_, conn := pair(t, l)
	sleeper := &idler{}
	kept := weak.Make(sleeper)
	sleep(t, conn, sleeper)
	_ = conn.Close()
	for deadline := time.Now().Add(inTime); kept.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the sleeper of a closed connection is still held")
		}
	}
}

// idler is never woken.
type idler struct{ _ [64]byte }

func (*idler) Wake() {}

// TestSleepUnwatched refuses to sleep where nobody would wake.
func TestSleepUnwatched(t *testing.T) {
	t.Parallel()
	l, stop := listen(t)
	_, conn := pair(t, l)
	stop()
	if err := conn.Sleep(make(woken, 1)); err == nil {
		t.Error("a connection sleeps that nobody wakes")
	}
}

// listen returns a listener that wakes sleepers until stop, which is called
// once.
func listen(t *testing.T) (*listener.Listener, func()) {
	t.Helper()
	l, err := listener.Listen(listener.Options{Address: "127.0.0.1:0", Sweeper: socket.NewSweeper()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.WakeSleepers(ctx) }()
	return l, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("WakeSleepers: %v", err)
		}
	}
}

// pair returns both ends of a connection, after a byte from the client, which
// has been read: a listener may wait for one.
func pair(t *testing.T, l *listener.Listener) (net.Conn, *listener.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	return client, conn
}

// sleep lets conn sleep, once WakeSleepers has begun.
func sleep(t *testing.T, conn *listener.Conn, sleeper listener.Sleeper) {
	t.Helper()
	for deadline := time.Now().Add(inTime); ; time.Sleep(time.Millisecond) {
		err := conn.Sleep(sleeper)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
