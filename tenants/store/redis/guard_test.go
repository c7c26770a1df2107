package redis_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// liar is a server that answers connections' commands by answer, which is given each
// command's words; "" says nothing.
func liar(t *testing.T, answer func(words []string) string) string {
	t.Helper()
	return serveEach(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			words, err := readCommand(r)
			if err != nil {
				return
			}
			if _, err := conn.Write([]byte(answer(words))); err != nil {
				return
			}
		}
	})
}

// serveEach serves each connection until serve returns.
func serveEach(t *testing.T, serve func(conn net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func readCommand(r *bufio.Reader) (words []string, err error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	for range int(head[1] - '0') {
		if _, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		word, err := r.ReadString('\n') // the script is of many lines
		for err == nil && !strings.HasSuffix(word, "\r\n") {
			var more string
			more, err = r.ReadString('\n')
			word += more
		}
		if err != nil {
			return nil, err
		}
		words = append(words, strings.TrimSpace(word))
	}
	return words, nil
}

const hello = "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n"

func configOf(address string) *redis.Config {
	c := &redis.Config{}
	c.SetDefaults()
	c.Address, c.LocalShare = []string{address}, 0
	c.Timeout *= 250 // what is tested isn't how fast the machine is
	return c
}

func quota(t testing.TB, rate, per, burst float64) store.Quota {
	t.Helper()
	q, err := store.NewQuota(rate, per, burst, 1)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestLies: whatever a server says, calls end with an error, in time, and nothing
// panics: the library does, on goroutines of its own, at replies that nobody has asked
// for and at lengths that nothing has.
func TestLies(t *testing.T) {
	t.Parallel()
	lies := map[string]string{
		"no RESP": "HTTP/1.1 400 Bad Request\r\n\r\n", "twice": "*4\r\n:1\r\n:0\r\n:0\r\n:0\r\n+more\r\n", "push": ">2\r\n+invalidate\r\n_\r\n",
		"subscribed": ">3\r\n+subscribe\r\n+a\r\n:1\r\n", "negative": "$-5\r\n", "huge": "$99999999999\r\n", "huge array": "*99999999\r\n", "negative map": "%-1\r\n",
		"nested": strings.Repeat("*1\r\n", 100_000), "no number": "*x\r\n", "attribute": "|1\r\n+a\r\n+b\r\n:1\r\n", "streamed": "$?\r\n;0\r\n",
		"line feed": "*12\n", "null": "_xx\r\n", "boolean": "#true\r\n", "overflow": ":99999999999999999999999\r\n", "long line": "+" + strings.Repeat("x", 1<<20) + "\r\n",
		"too few": "*2\r\n:1\r\n:0\r\n", "not allowed nor refused": "*4\r\n:7\r\n:0\r\n:0\r\n:0\r\n", "debt": "*4\r\n:0\r\n:-5\r\n:0\r\n:0\r\n", "generous": "*4\r\n:1\r\n:0\r\n:0\r\n:1000000\r\n",
		"text": "+OK\r\n", "nothing": "$-1\r\n", "refused": "-ERR no\r\n", "moved": "-MOVED\r\n", "strings": "*4\r\n+a\r\n+b\r\n+c\r\n+d\r\n",
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			lying, once := make(chan struct{}), sync.Once{}
			address := liar(t, func(words []string) string {
				switch words[0] {
				case "HELLO":
					return hello
				case "EVALSHA":
					if asked.Add(1) == 1 {
						return "*4\r\n:1\r\n:0\r\n:0\r\n:0\r\n" // the probe's
					}
					once.Do(func() { close(lying) })
					return lie
				}
				return "+OK\r\n"
			})
			var shared redis.Shared
			shared.Use(configOf(address), time.Minute)
			defer shared.Close()
			if _, err := shared.Tenant("a").Take(t.Context(), "limit", []byte("key"), quota(t, 1, 1, 5)); err == nil {
				t.Error("it was believed")
			}
			<-lying
		})
	}
}

// TestLiesBeforehand: also of the handshake, and when nobody has asked anything.
func TestLiesBeforehand(t *testing.T) {
	t.Parallel()
	for _, lie := range []string{"garbage\r\n", hello + hello, "$-7\r\n", ">1\r\n+x\r\n", "*1\r\n"} {
		address := liar(t, func([]string) string { return lie })
		var shared redis.Shared
		shared.Use(configOf(address), time.Minute)
		if status, ok := shared.Status(); !ok || status.Here || status.Err == nil {
			t.Errorf("%q: %+v", lie, status)
		}
		shared.Close()
	}
}

// TestSilence: a server that says nothing any more costs three calls the time-out, and
// the others nothing.
func TestSilence(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	address := liar(t, func(words []string) string {
		if words[0] == "HELLO" {
			return hello
		}
		if asked.Add(1) == 1 {
			return "*4\r\n:1\r\n:0\r\n:0\r\n:0\r\n"
		}
		return ""
	})
	var shared redis.Shared
	config := configOf(address)
	config.Timeout /= 10
	shared.Use(config, time.Minute)
	defer shared.Close()
	q, late := quota(t, 1, 1, 5), 0
	until.True(t, "the server is away", func() bool {
		_, err := shared.Tenant("a").Take(t.Context(), "limit", []byte("key"), q)
		if errors.Is(err, redis.ErrLate) {
			late++
		}
		return errors.Is(err, redis.ErrAway)
	})
	if late > 3 {
		t.Errorf("%d calls have waited, want at most 3", late)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := shared.Tenant("a").Take(gone, "limit", nil, q); !errors.Is(err, redis.ErrAway) {
		t.Errorf("got %v", err)
	}
}
