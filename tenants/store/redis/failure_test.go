package redis_test

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/alicebob/miniredis/v2"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

const passing = "*4\r\n:1\r\n:0\r\n:0\r\n:0\r\n" // of the script of limits

// TestPasswordsAreHidden: servers repeat what they were sent, in words of their own.
func TestPasswordsAreHidden(t *testing.T) {
	t.Parallel()
	const password = `geheim"xyz`
	for name, said := range map[string]string{
		"Redis":       "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'geheim\"xyz' \r\n",
		"cut":         "-ERR unknown command `AUTH`, with args beginning with: `gehe\r\n",
		"its own":     "-ERR who is geheim\"xyz?\r\n",
		"quoted":      "-ERR who is \"geheim\\\"xyz\"?\r\n",
		"cut, quoted": "-ERR who is 'geheim'...\r\n",
		"at its end":  "-ERR who is geheim\"\r\n",
		"no reply":    "geheim\"xyz\r\n",
		"no number":   ":geheim\"xyz\r\n",
	} {
		for _, sentinel := range []bool{false, true} {
			address := liar(t, func([]string) string { return said })
			config := configOf(address)
			config.Password = password
			if sentinel {
				config.Password, config.Sentinel = "", &redis.SentinelConfig{Master: "m", Password: password}
			}
			told := make(chan error, 100)
			shared := redis.Shared{Tell: func(_ string, err error, _ time.Duration) { told <- err }}
			shared.Use(config, time.Minute)
			status, _ := shared.Status()
			for _, err := range []error{status.Err, <-told} {
				if err == nil || strings.Contains(err.Error(), "geh") || strings.Contains(err.Error(), "xyz") {
					t.Errorf("%s, sentinel %v: %v", name, sentinel, err)
				}
			}
			shared.Close()
		}
	}
}

// TestErrorsAreShort: what a server says is bounded, and is text of one line, when it is
// connected to and later.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"-ERR " + strings.Repeat("A", 10_000) + "\r\n", "!10004\r\nERR " + strings.Repeat("\x1b\nB", 10_000/3+1)[:10_000] + "\r\n"} {
		var asked atomic.Int32
		address := liar(t, func(words []string) string {
			switch {
			case words[0] == "HELLO":
				return hello
			case words[0] != "EVALSHA":
				return "+OK\r\n"
			case asked.Add(1) == 1:
				return passing
			}
			return said
		})
		var shared redis.Shared
		shared.Use(configOf(address), time.Minute)
		_, failed := shared.Tenant("a").Take(t.Context(), "limit", nil, quota(t, 1, 1, 5))
		var why error
		until.True(t, "the server is away", func() bool {
			status, _ := shared.Status()
			why = status.Err
			return why != nil && !status.Here
		})
		shared.Close()
		for _, err := range []error{failed, why} {
			if err == nil || len(err.Error()) > 300 || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("got %.400v", err)
			}
		}
	}
}

// TestRepliesAreBounded as a whole, not each part of them.
func TestRepliesAreBounded(t *testing.T) {
	t.Parallel()
	part := "$70000\r\n" + strings.Repeat("x", 70_000) + "\r\n"
	for _, lie := range []string{"*5\r\n" + strings.Repeat(part, 5), "*2\r\n*3\r\n" + strings.Repeat(part, 3) + "*2\r\n" + strings.Repeat(part, 2), "*2000\r\n", "$300000\r\n"} {
		var asked atomic.Int32
		address := liar(t, func(words []string) string {
			switch {
			case words[0] == "HELLO":
				return hello
			case words[0] == "EVALSHA" && asked.Add(1) > 1:
				return lie
			case words[0] == "EVALSHA":
				return passing
			}
			return "+OK\r\n"
		})
		var shared redis.Shared
		shared.Use(configOf(address), time.Minute)
		_, err := shared.Tenant("a").Take(t.Context(), "limit", nil, quota(t, 1, 1, 5))
		if err == nil || !strings.Contains(err.Error(), "it has more than") && !strings.Contains(err.Error(), "expected at most") {
			t.Errorf("%.20q: %v", lie, err)
		}
		shared.Close()
	}
}

// TestForeignKeys: what somebody else has put under a limit's key is that key's failure,
// not the server's, and stays as it is.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(s *miniredis.Miniredis, key string) error{
		"list": func(s *miniredis.Miniredis, key string) error { _, err := s.Push(key, "x"); return err },
		"hash": func(s *miniredis.Miniredis, key string) error { s.HSet(key, "a", "b"); return nil },
		"text": func(s *miniredis.Miniredis, key string) error { return s.Set(key, "garbage") },
		"none": func(s *miniredis.Miniredis, key string) error { return s.Set(key, "") },
	} {
		server := miniredis.RunT(t)
		shared, q := open(t, configOf(server.Addr())), quota(t, 1, 3600, 10)
		limits := shared.Tenant("a")
		if _, err := limits.Take(t.Context(), "limit", nil, q); err != nil {
			t.Fatal(err)
		}
		foreign := ""
		for _, key := range server.Keys() {
			if strings.HasPrefix(key, "keystone:a:") {
				foreign = key
			}
		}
		for _, key := range []string{foreign, "keystone::probe"} {
			server.Del(key)
			if err := write(server, key); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			if _, err := limits.Take(t.Context(), "limit", nil, q); !errors.Is(err, store.ErrNotLimit) {
				t.Errorf("%s: got %v", name, err)
			}
			if v, err := limits.Take(t.Context(), "other", nil, q); err != nil || !v.Allowed {
				t.Errorf("%s: another limit: %+v %v", name, v, err)
			}
			server.Del("keystone:a:l:other:" + foreign[strings.LastIndex(foreign, ":")+1:])
		}
		if status, _ := shared.Status(); !status.Here || status.Counts.Unusable != 10 || status.Counts.Failed+status.Counts.Late != 0 {
			t.Errorf("%s: %+v", name, status)
		}
		// The gateway's own key is taken back, or it could never say that the server is there.
		again := open(t, configOf(server.Addr()))
		if status, _ := again.Status(); !status.Here {
			t.Errorf("%s: a gateway that comes later: %+v", name, status)
		}
	}
}

// TestForeignSecrets: likewise of secrets.
func TestForeignSecrets(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	shared := open(t, configOf(server.Address))
	offered := make([]byte, redis.SecretSize)
	for i, command := range []string{"SET keystone::s short", "RPUSH keystone::s x", "SET keystone::s ''"} {
		server.Do("DEL keystone::s")
		server.Do(command)
		for range 10 {
			if _, err := shared.Secret(t.Context(), "s", offered, time.Hour); !errors.Is(err, redis.ErrForeign) {
				t.Errorf("%s: got %v", command, err)
			}
		}
		if got, err := shared.Secret(t.Context(), string(rune('a'+i)), offered, time.Hour); err != nil || string(got) != string(offered) {
			t.Errorf("another secret: %x %v", got, err)
		}
	}
	if got, err := shared.Secret(t.Context(), "unknown", nil, time.Hour); got != nil || err != nil || server.Do("EXISTS keystone::unknown") != ":0" {
		t.Errorf("a secret that nobody has offered: %x %v", got, err)
	}
	if status, _ := shared.Status(); !status.Here || status.Counts.Unusable != 30 {
		t.Errorf("%+v", status)
	}
}

// forgetful is a server that can be told to forget its script. It then says so to all
// that ask at once, before the first of them sends the script along, and answers nobody
// who does before release.
type forgetful struct {
	mu      sync.Mutex
	forgot  bool
	asking  []*reply // EVALSHA, to be told at once
	sending []*reply // EVAL
	wires   []*wire
}

type wire struct {
	conn    net.Conn
	replies []*reply // in their order, the first isn't ready
}

type reply struct{ text string }

const atOnce = 3 // as many failures in a row as a server has until it is away

func (f *forgetful) serve(conn net.Conn) {
	w := &wire{conn: conn}
	f.mu.Lock()
	f.wires = append(f.wires, w)
	f.mu.Unlock()
	for r := bufio.NewReader(conn); ; {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		answer := &reply{passing}
		switch {
		case words[0] == "HELLO":
			answer.text = hello
		case words[0] == "EVALSHA" && f.forgot && !strings.HasSuffix(words[3], "::probe"):
			answer.text = ""
			f.asking = append(f.asking, answer)
			if len(f.asking) == atOnce {
				ready(f.asking, "-NOSCRIPT No matching script.\r\n")
			}
		case words[0] == "EVAL" && f.forgot:
			answer.text = ""
			f.sending = append(f.sending, answer)
		case !strings.HasPrefix(words[0], "EVAL"):
			answer.text = "+OK\r\n"
		}
		w.replies = append(w.replies, answer)
		f.flush()
		f.mu.Unlock()
	}
}

func ready(list []*reply, text string) {
	for _, r := range list {
		r.text = text
	}
}

func (f *forgetful) flush() {
	for _, w := range f.wires {
		for len(w.replies) > 0 && w.replies[0].text != "" {
			_, _ = w.conn.Write([]byte(w.replies[0].text))
			w.replies = w.replies[1:]
		}
	}
}

func (f *forgetful) forget(is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgot = is
	ready(f.sending, passing)
	f.flush()
}

// TestForgottenScripts: a server that needs more than the time-out to get a script again,
// since that is a second round trip, isn't away for that.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	server := &forgetful{}
	shared := open(t, configOf(serveEach(t, server.serve)))
	limits, q := shared.Tenant("a"), quota(t, 1, 1, 1000)
	server.forget(true)
	var wait sync.WaitGroup
	for range atOnce {
		wait.Go(func() {
			if _, err := limits.Take(t.Context(), "limit", nil, q); !errors.Is(err, redis.ErrLate) {
				t.Errorf("got %v, want that it took too long", err)
			}
		})
	}
	wait.Wait()
	server.forget(false)
	if _, err := limits.Take(t.Context(), "limit", nil, q); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if status, _ := shared.Status(); !status.Here {
		t.Errorf("%+v", status)
	}
}
