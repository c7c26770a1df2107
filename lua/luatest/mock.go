package luatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// Bounds of a mock.
const (
	maxMocks    = 50        // of a file
	maxReceived = 10_000    // requests that are kept
	maxBody     = 16 << 20  // bytes of a request's body
	maxDelay    = time.Hour // the test's time-out ends it
)

// mock is a server that stands for an upstream or for what scripts ask over
// HTTP. It keeps its address as long as the file runs; what it answers and has
// received is forgotten with each test.
type mock struct {
	file *file
	name string

	mu       sync.Mutex
	address  string
	server   *http.Server
	listener net.Listener
	released chan struct{} // closed when the test is over: nothing waits any longer
	routes   []route       // the last one that matches answers
	received []*received
}

// route is what on and respond declare.
type route struct {
	method, path string // "" is any; a path may end in "*"
	answers      []answer
	used         int
}

// answer is what a mock answers: a function, or what a table says.
type answer struct {
	fn     *glua.LFunction
	status int
	fields [][2]string
	body   []byte
	chunks [][]byte
	delay  time.Duration
	fail   string
}

// Ways to fail, as fail(kind) names them.
const (
	failRefuse  = "refuse"  // connections are refused
	failClose   = "close"   // the connection is closed without a response
	failPartial = "partial" // it is closed in the middle of the body
	failTimeout = "timeout" // there is never a response
)

// received is a request that a mock got.
type received struct {
	method, target, host string
	header               http.Header
	body                 []byte
}

// mockOf returns the mock of a name, and makes it if there is none.
func (f *file) mockOf(name string) (*mock, error) {
	if m := f.mocks[name]; m != nil {
		return m, nil
	}
	if len(f.mocks) >= maxMocks {
		return nil, fmt.Errorf("too many mocks in a file, expected at most %d", maxMocks)
	}
	m := &mock{file: f, name: name, released: make(chan struct{})}
	if err := m.listen("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("cannot start the mock %q: %w", name, err)
	}
	f.mocks[name] = m
	return m, nil
}

func (f *file) mockURL(name string) (string, error) {
	m, err := f.mockOf(name)
	if err != nil {
		return "", err
	}
	return m.url(), nil
}

func (m *mock) url() string { return "http://" + m.address }

// listen starts the server.
func (m *mock) listen(address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: m, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	m.mu.Lock()
	m.listener, m.address, m.server = listener, listener.Addr().String(), server
	m.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // ends with close
	return nil
}

// close ends the server with all its connections.
func (m *mock) close() {
	m.mu.Lock()
	server := m.server
	m.server = nil
	m.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

func (f *file) closeMocks() {
	for _, m := range f.mocks {
		m.close()
	}
}

// releaseMocks ends what waits in mocks: the test is over.
func (f *file) releaseMocks() {
	for _, m := range f.mocks {
		m.mu.Lock()
		select {
		case <-m.released:
		default:
			close(m.released)
		}
		m.mu.Unlock()
	}
}

// resetMocks makes all mocks as new, at their addresses.
func (f *file) resetMocks() error {
	for _, m := range f.mocks {
		m.mu.Lock()
		m.routes, m.received, m.released = nil, nil, make(chan struct{})
		m.mu.Unlock()
		if err := m.accept(true); err != nil {
			return err
		}
	}
	return nil
}

// accept makes the mock take connections at its address, or refuse them.
func (m *mock) accept(yes bool) error {
	m.mu.Lock()
	open, address := m.server != nil, m.address
	m.mu.Unlock()
	switch {
	case open && !yes:
		m.close()
	case !open && yes:
		if err := m.listen(address); err != nil {
			return fmt.Errorf("cannot start the mock %q again: %w", m.name, err)
		}
	}
	return nil
}

// ServeHTTP answers as the test has said.
func (m *mock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := &received{method: r.Method, target: r.RequestURI, host: r.Host, header: r.Header}
	got.body, _ = io.ReadAll(io.LimitReader(r.Body, maxBody)) // what came is what counts
	if len(r.TransferEncoding) > 0 {
		got.header.Set("Transfer-Encoding", strings.Join(r.TransferEncoding, ", "))
	} else if r.ContentLength > 0 {
		got.header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	m.mu.Lock()
	if len(m.received) < maxReceived {
		m.received = append(m.received, got)
	}
	a, released := m.choose(got), m.released
	m.mu.Unlock()
	if a.fn != nil {
		a = m.call(r.Context(), a.fn, got)
	}
	if a.delay > 0 {
		timer := time.NewTimer(a.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-released:
		}
	}
	a.send(w, r, released)
}

// choose returns the answer for a request, and counts it as given.
func (m *mock) choose(r *received) answer {
	path, _, _ := strings.Cut(r.target, "?")
	for i := len(m.routes) - 1; i >= 0; i-- {
		route := &m.routes[i]
		if !route.matches(r.method, path) {
			continue
		}
		a := route.answers[min(route.used, len(route.answers)-1)]
		route.used++
		return a
	}
	return answer{status: http.StatusOK}
}

func (r *route) matches(method, path string) bool {
	if r.method != "" && r.method != method {
		return false
	}
	if prefix, ok := strings.CutSuffix(r.path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return r.path == "" || r.path == path
}

// errFunction answers where a test's function has failed.
var errFunction = errors.New("the test's function that answers for the upstream has failed")

// call asks a function of the test.
func (m *mock) call(ctx context.Context, fn *glua.LFunction, r *received) (a answer) {
	f := m.file
	f.machine.answering.RLock()
	defer f.machine.answering.RUnlock()
	err := f.machine.call(ctx, f.runner.options.Timeout, fn, func(L *glua.LState) int {
		r.push(f, L)
		return 1
	}, func(L *glua.LState, v glua.LValue) (err error) {
		a, err = readAnswer(L, 1, v)
		if err == nil && a.fn != nil {
			return errors.New("the function returned a function, expected a response")
		}
		return err
	})
	if err == nil || ctx.Err() != nil { // a gateway that has gone away fails nothing
		return a
	}
	f.machine.lock.Lock()
	defer f.machine.lock.Unlock()
	if f.running != nil {
		f.running.trouble = append(f.running.trouble, err)
	}
	return answer{status: http.StatusInternalServerError, body: []byte(errFunction.Error() + "\n")}
}

// send writes the answer.
func (a *answer) send(w http.ResponseWriter, r *http.Request, released <-chan struct{}) {
	switch a.fail {
	case failTimeout:
		select {
		case <-r.Context().Done():
		case <-released:
		}
		panic(http.ErrAbortHandler)
	case failClose:
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	header["Date"], header["Content-Type"] = nil, nil // only what the test says
	for _, field := range a.fields {
		if http.CanonicalHeaderKey(field[0]) == "Content-Type" && header["Content-Type"] == nil {
			delete(header, "Content-Type")
		}
		header.Add(field[0], field[1])
	}
	if a.fail == failPartial {
		header.Set("Content-Length", strconv.Itoa(2*len(a.body)+1000))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the gateway may have gone away
	flush := http.NewResponseController(w).Flush
	for _, chunk := range a.chunks {
		_, _ = w.Write(chunk)
		_ = flush()
	}
	if a.fail == failPartial {
		_ = flush()
		panic(http.ErrAbortHandler)
	}
}

// push pushes the request as tests see it.
func (r *received) push(f *file, L *glua.LState) {
	t := f.pushMessage(L, r.header, r.body)
	path, query, _ := strings.Cut(r.target, "?")
	for name, value := range map[string]string{
		"method": r.method, "path": path, "query": query, "url": r.target, "host": r.host,
	} {
		t.RawSetString(name, glua.LString(value))
	}
}
