package lua_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// leavable is an Exchange whose client can go away.
type leavable struct {
	*slow
	cancel chan func()
}

func (x *leavable) Watch(cancel func()) (end func()) {
	select {
	case x.cancel <- cancel:
	default:
	}
	return func() {}
}

// TestHTTPIsCharged demands that what responses to a script's requests take is
// charged from when they arrive, also while others of the same batch are waited
// for, and that it goes with the request, also when that is aborted; and that
// connections are charged as long as they are open.
func TestHTTPIsCharged(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	const fields, body = 2000, 600_000
	gone := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/head":
			for i := range fields {
				w.Header().Set(fmt.Sprint("X-", i), "12345678")
			}
		case "/body":
			_, _ = w.Write(make([]byte, body))
		case "/stall":
			w.Header().Set("Content-Length", fmt.Sprint(2*body))
			_, _ = w.Write(make([]byte, body))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			gone <- struct{}{}
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	put(t, dir, "a.lua", strings.ReplaceAll(`chi_middleware(function(request, response, next)
  http.all{"URL/head", "URL/body", {url = "URL/stall", timeout = 60, max_response = 2000000}}
end)`, "URL", server.URL))
	o := options(dir, "a.lua")
	o.Shards, o.Config.MaxMemoryRate, o.Config.TotalTimeout = 1, 0, 0
	o.Config.HTTP.Allow, o.Config.HTTP.MaxResponse = []string{"127.0.0.0/8"}, 2*mib
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	before, beforeObjects := scripts.Memory(), measure.Heap()
	x := &leavable{newSlow(0, ""), make(chan func(), 1)}
	done := make(chan error)
	go func() { done <- scripts.Serve(x, 0) }()
	cancel := <-x.cancel
	least := int64(fields*150 + 2*body) // what is given up while buffers grow is charged too
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		charged := scripts.Memory() - before
		took := int64(0)
		if charged >= least {
			took = measure.Heap() - beforeObjects // the server's part of it goes when it has sent it
		}
		if charged >= least && took <= charged*5/4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("while a batch waits, %d bytes are charged, want at least %d, and %d are taken", charged, least, took)
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("a request that was aborted has succeeded")
	}
	<-gone
	scripts.Close()
	scripts.Shed("test") // what ended runs were charged may be in globals
	for deadline := time.Now().Add(time.Minute); scripts.Memory() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are charged when all is over", scripts.Memory())
		}
	}
	if grown := measure.Heap() - beforeObjects; grown > 300_000 {
		t.Errorf("%d bytes are held when all is over", grown)
	}
}

// TestConnectionsAreCharged demands that a connection of scripts is charged
// until it is closed.
func TestConnectionsAreCharged(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	dir := t.TempDir()
	put(t, dir, "a.lua", `chi_middleware(function(request, response, next) assert(http.get("`+server.URL+`")) end)`)
	o := options(dir, "a.lua")
	o.Shards, o.Config.HTTP.Allow = 1, []string{"127.0.0.0/8"}
	var places atomic.Int32
	o.Places = func(string) (func(), error) {
		if places.Add(1) > 1 {
			places.Add(-1)
			return nil, errors.New("no place")
		}
		return func() { places.Add(-1) }, nil
	}
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := scripts.Serve(newRequest(), 0); err != nil {
		t.Fatal(err)
	}
	scripts.Shed("test")
	if n := scripts.Memory(); n < 40<<10 || n > 60<<10 {
		t.Errorf("%d bytes are charged for an idle connection", n)
	}
	scripts.Close()
	for deadline := time.Now().Add(time.Minute); scripts.Memory() > 0 || places.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are charged and %d places taken when it is closed", scripts.Memory(), places.Load())
		}
	}
}
