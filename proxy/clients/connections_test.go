package clients

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// hour is longer than any test.
const hour = int64(time.Hour)

// house is a server whose connections are made by hand: nobody serves them.
type house struct {
	*Server
	process     memory.Process
	account     memory.Account
	draining    atomic.Bool
	connections atomic.Int64
	at          *listener.Listener
}

func newHouse(t *testing.T, settings listener.Settings) *house {
	t.Helper()
	h := &house{}
	h.account.Open(&h.process)
	h.Server = &Server{Plane: &exchange.Plane{Draining: h.draining.Load}, Memory: &h.account, Open: h.connections.Load}
	h.Limits.Store(&Limits{Header: hour, Keepalive: hour, HalfClose: hour, Linger: hour, LingerIdle: hour, MaxHeader: 1000})
	h.Awake.Store(WakeShare)
	h.at = h.listen(t, settings)
	return h
}

func (h *house) listen(t *testing.T, settings listener.Settings) *listener.Listener {
	t.Helper()
	at, err := listener.Listen(listener.Options{Address: "127.0.0.1:0", Sweeper: socket.NewSweeper(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = at.Close() })
	return at
}

// connect makes a connection at a listener: what the gateway has of it, and the
// client's end.
func (h *house) connect(t *testing.T, at *listener.Listener) (*client, *net.TCPConn) {
	t.Helper()
	theirs, err := net.Dial("tcp", at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	if _, err := io.WriteString(theirs, "x"); err != nil { // on Linux it is accepted with its first byte
		t.Fatal(err)
	}
	_ = theirs.SetDeadline(time.Now().Add(time.Minute))
	accepted, err := at.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	var first [1]byte
	if _, err := accepted.Sock.Read(first[:]); err != nil {
		t.Fatal(err)
	}
	made, _ := h.Connect(accepted)
	ours, ok := made.(*client)
	if !ok {
		t.Fatal("the connection was refused")
	}
	return ours, theirs.(*net.TCPConn)
}

// ended reports whether a connection is closed: nothing can be written to it.
func ended(c *client) bool { return c.Sock.TryWrite([]byte("y")) != 1 }

// TestPatience: how long a connection waits for a request, and whether it sleeps
// after that.
func TestPatience(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	for _, c := range []struct {
		name        string
		served      uint64
		open, awake int64
		stay        int64
		woken       bool
		want        int64
		sleepy      bool
	}{
		{"the first request", 0, 1, 0, 0, false, 10 * second, false},
		{"few connections", 1, 20, WakeShare, 0, false, 10 * second, true},
		{"more", 1, 200, WakeShare, 0, false, second, true},
		{"very many", 1, 1000, WakeShare, 0, false, second / 5, true},
		{"even more", 1, 100_000, WakeShare, 0, false, second / 5, true},
		{"none that is known", 1, 0, 20 * second, 0, false, 20 * second, true},
		{"one that would sleep in vain", 1, 1, WakeShare, 0, false, 75 * second, false},
		{"as long as it may idle", 1, 1, 75 * second, 0, false, 75 * second, false},
		{"a moment less", 1, 1, 75*second - 1, 0, false, 75*second - 1, true},
		{"after a short sleep", 1, 1000, WakeShare, 5 * second, false, 5 * second, true},
		{"woken without a request", 1, 1000, WakeShare, 0, true, 75 * second, false},
	} {
		s := &Server{Open: func() int64 { return c.open }}
		s.Awake.Store(c.awake)
		client := &client{server: s, served: c.served, stay: c.stay, woken: c.woken}
		got, sleepy := client.patience(&Limits{Header: 10 * second, Keepalive: 75 * second})
		if got != c.want || sleepy != c.sleepy {
			t.Errorf("%s: %v, sleepy: %v; want %v, %v", c.name, time.Duration(got), sleepy, time.Duration(c.want), c.sleepy)
		}
	}
}

// TestRequestsOfAConnection: it goes on until it has had as many as its listener's
// settings say, or until the process or the listener is about to end.
func TestRequestsOfAConnection(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]uint64{0: math.MaxUint64, 1: 0, 5: 4} {
		h := newHouse(t, listener.Settings{MaxRequests: most})
		c, _ := h.connect(t, h.at)
		for _, served := range []uint64{0, 1, 3, 4, 5, 6, 1 << 40} {
			if c.served = served; c.mayGoOn() != (served <= want) {
				t.Errorf("of %d requests a connection goes on after %d: %v", most, served, c.mayGoOn())
			}
		}
		c.served = 0
		h.draining.Store(true)
		if c.mayGoOn() || !c.ending() {
			t.Error("it goes on in a drain")
		}
		h.draining.Store(false)
		_ = h.at.Close()
		if c.mayGoOn() || !c.ending() {
			t.Error("it goes on when its listener is closed")
		}
	}
}

// TestConnectionsAreCharged: what they take is held while they are open, less while
// they sleep, and given back at their end.
func TestConnectionsAreCharged(t *testing.T) {
	t.Parallel()
	h := newHouse(t, listener.Settings{})
	c, _ := h.connect(t, h.at)
	if got := h.account.Used(); got != awakeSize {
		t.Errorf("a connection holds %d bytes, want %d", got, awakeSize)
	}
	if c.doze(); h.account.Used() != sleepSize || c.state.Load() != clientDozing || c.head != nil {
		t.Errorf("one that dozes holds %d bytes, want %d", h.account.Used(), sleepSize)
	}
	if c.rebase(awakeSize); h.account.Used() != awakeSize {
		t.Errorf("one that was woken holds %d bytes, want %d", h.account.Used(), awakeSize)
	}
	c.Secure = true
	if c.rebase(awakeSize); h.account.Used() != awakeSize+secureSize {
		t.Errorf("one with TLS holds %d bytes, want %d", h.account.Used(), awakeSize+secureSize)
	}
	if _ = c.end(); h.account.Used() != 0 {
		t.Errorf("one that has ended holds %d bytes", h.account.Used())
	}
	if c.rebase(sleepSize); h.account.Used() != 0 {
		t.Errorf("one that has ended holds %d bytes later", h.account.Used())
	}
	for range h.open.All() {
		t.Error("it is still known")
	}
	h.account.SetLimit(awakeSize - 1)
	if h.mayAccept() {
		t.Error("one is accepted without memory for it")
	}
	if h.account.SetLimit(awakeSize); !h.mayAccept() {
		t.Error("none is accepted although there is memory")
	}
}

// TestCloseIdle: of a listener, those are closed that have been idle since before a
// time, sleeping ones too; not those that are busy, or to which something was sent.
func TestCloseIdle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, listener.Settings{})
	other := h.listen(t, listener.Settings{})
	const now = 1000
	closed := map[string]bool{}
	theirs := map[string]net.Conn{}
	all := map[string]*client{}
	for _, c := range []struct {
		name  string
		at    *listener.Listener
		since int64
		state int32
		gone  bool
	}{
		{"idle", h.at, now - 1, clientIdle, true},
		{"idle since just then", h.at, now, clientIdle, false},
		{"asleep", h.at, now - 1, clientAsleep, true},
		{"dozing", h.at, now - 1, clientDozing, true},
		{"busy", h.at, now - 1, clientBusy, false},
		{"ended", h.at, now - 1, clientEnded, false},
		{"with a request", h.at, now - 1, clientIdle, false},
		{"another listener's", other, now - 1, clientIdle, false},
	} {
		one, client := h.connect(t, c.at)
		one.idleSince.Store(c.since)
		one.state.Store(c.state)
		closed[c.name], theirs[c.name], all[c.name] = c.gone, client, one
	}
	if h.Asleep() != 1 {
		t.Errorf("%d are asleep, want 1", h.Asleep())
	}
	if _, err := io.WriteString(theirs["with a request"], "GET"); err != nil {
		t.Fatal(err)
	}
	until.True(t, "the request has arrived", all["with a request"].Sock.Readable)
	if left := h.CloseIdle(now, h.at); left != 4 {
		t.Errorf("%d are left, want 4", left)
	}
	for name, gone := range closed {
		if got := ended(all[name]); got != gone && name != "ended" {
			t.Errorf("%s: closed: %v", name, got)
		}
		if ended := all[name].state.Load() == clientEnded; ended != (gone || name == "ended") {
			t.Errorf("%s: it can begin no request: %v", name, ended)
		}
	}
	if left := h.CloseIdle(now+1, nil); left != 3 { // busy, ended, with a request
		t.Errorf("of all listeners %d are left, want 3", left)
	}
	waits := grants{}
	busy := all["busy"]
	busy.beginWait(&waits, 1)
	if h.CloseAll(errAnything, other); waits.aborted != nil || ended(busy) {
		t.Error("another listener's connections were cut")
	}
	if h.CloseAll(errAnything, h.at); !errors.Is(waits.aborted, errAnything) || !ended(busy) || !ended(all["with a request"]) {
		t.Errorf("not all connections were cut; a call was given up because of %v", waits.aborted)
	}
	last, _ := h.connect(t, h.at)
	last.state.Store(clientBusy)
	if h.CloseAll(errAnything, nil); !ended(last) {
		t.Error("not all connections of all listeners were cut")
	}
}

var errAnything = errors.New("anything")

// grants is a call that notes why it was given up.
type grants struct{ aborted error }

func (g *grants) Abort(cause error) { g.aborted = cause }

// TestCutHeaviest: of an account's connections those are cut first that hold most,
// for the longest, until enough has been given back.
func TestCutHeaviest(t *testing.T) {
	t.Parallel()
	const now = 100
	for _, c := range []struct {
		bytes int64
		cut   []string
	}{
		{0, nil}, {1, []string{"old"}}, {100, []string{"old"}}, {101, []string{"old", "heavy"}}, {600, []string{"old", "heavy"}}, {601, []string{"old", "heavy", "light"}},
		{5000, []string{"old", "heavy", "light"}},
	} {
		h := newHouse(t, listener.Settings{})
		var foreign memory.Account
		foreign.Open(&h.process)
		all := map[string]*client{}
		waits := map[string]*grants{}
		for _, held := range []struct {
			name         string
			bytes, since int64
			on           *memory.Account
		}{
			{"light", 90, now - 5, &h.account}, {"heavy", 500, now - 10, &h.account}, {"old", 100, now - 90, &h.account}, {"nothing", 0, now - 99, &h.account}, {"foreign", 5000, now - 99, &foreign},
		} {
			one, _ := h.connect(t, h.at)
			one.memory.Begin(held.on)
			if held.bytes > 0 && !one.memory.Acquire(held.bytes) {
				t.Fatal("there is no memory")
			}
			one.idleSince.Store(held.since)
			waits[held.name] = &grants{}
			one.beginWait(waits[held.name], 1)
			all[held.name] = one
		}
		var count atomic.Uint64
		h.CutHeaviest(&h.account, c.bytes, now, &count)
		if count.Load() != uint64(len(c.cut)) {
			t.Errorf("for %d bytes %d are cut, want %d", c.bytes, count.Load(), len(c.cut))
		}
		for name, one := range all {
			wanted := false
			for _, cut := range c.cut {
				wanted = wanted || cut == name
			}
			if got := errors.Is(one.Sock.Aborted(), exchange.OutOfMemory); got != wanted || errors.Is(waits[name].aborted, exchange.OutOfMemory) != wanted {
				t.Errorf("for %d bytes, %s: cut: %v, its call: %v", c.bytes, name, got, waits[name].aborted)
			}
			one.memory.End(&h.account, 0)
		}
	}
}

// TestWhatClientsSpeak: what isn't HTTP is named where it can be known.
func TestWhatClientsSpeak(t *testing.T) {
	t.Parallel()
	const hello, proxy = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
	for _, c := range []struct {
		err    error
		begin  string
		secure bool
		want   error
	}{
		{message.BadRequestLine, "nonsense", false, message.BadRequestLine},
		{message.BadRequestLine, proxy, false, exchange.SpokePROXY},
		{message.BadRequestLine, proxy, true, exchange.SpokePROXY},
		{message.BadRequestLine, hello, false, exchange.SpokeTLS},
		{message.BadRequestLine, hello, true, message.BadRequestLine},
		{message.BadHost, hello, false, message.BadHost},
		{errAnything, proxy, false, errAnything},
		{errAnything, hello, false, errAnything},
	} {
		client := &client{Conn: &listener.Conn{Secure: c.secure}}
		if got := client.spoke(c.err, []byte(c.begin)); got != c.want {
			t.Errorf("%q with %v, TLS %v: got %v, want %v", c.begin, c.err, c.secure, got, c.want)
		}
	}
}

// TestClientsAreKnown: each has a number of its own, and its address.
func TestClientsAreKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, listener.Settings{})
	first, _ := h.connect(t, h.at)
	second, _ := h.connect(t, h.at)
	if first.who.Number == second.who.Number || first.who.Number == 0 {
		t.Errorf("they have the numbers %d and %d", first.who.Number, second.who.Number)
	}
	if string(first.who.Address) != "127.0.0.1" || first.who.Peer != netip.MustParseAddr("127.0.0.1") || first.who.Secure || first.who.Listener != h.at.Number() {
		t.Errorf("got %+v", first.who)
	}
	if first.idleSince.Load() == 0 || first.state.Load() != clientIdle {
		t.Error("a new connection isn't idle from now on")
	}
}
