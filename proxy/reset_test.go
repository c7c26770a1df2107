package proxy

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"testing"
	"unsafe"

	"github.com/klauspost/compress/gzip"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// keptFields are what pooled values keep on purpose: memory of which nothing is
// read before it is written anew. Slices of them are empty, unless their owner
// writes them from the start.
var keptFields = map[string]string{
	"exchange.values":  "empty",
	"exchange.line":    "written from the start of a line; its stamp is of the clock alone",
	"exchange.hostBuf": "written before x.host is made of it",
	"exchange.pathBuf": "as hostBuf",
	"exchange.sendBuf": "as hostBuf",
	"exchange.idBuf":   "identify writes it first",
	"exchange.call.Response.Response.Message.Header": "empty",
	"exchange.call.head":                             "empty",
	"exchange.call.out":                              "empty",
	"exchange.call.Body.trailer":                     "empty",
	"exchange.call.Body.raw":                         "empty",
	"exchange.script.keyBuf":                         "written before a key is made of it",
	"exchange.response.Header":                       "leads to Local, which is empty",
	"exchange.response.Local":                        "empty",
	"exchange.response.Body":                         "empty",
	"exchange.policed.request.memos":                 "empty",
	"exchange.policed.request.text":                  "empty",
	"exchange.policed.kept":                          "empty",
	"stream.req.Request.Message.Header":              "empty",
	"stream.body.trailer":                            "empty",
	"stream.body.raw":                                "empty",
	"stream.pump.Out":                                "empty",
}

// TestResetForgetsEverything fills every field of an exchange, however deep it
// lies, and demands that reset leaves none of it: the next request, which may be
// another tenant's, gets the same memory.
func TestResetForgetsEverything(t *testing.T) {
	t.Parallel()
	x := new(exchange)
	filled := fill(t, "exchange", reflect.ValueOf(x).Elem(), 1)
	if filled < 150 {
		t.Errorf("only %d fields were filled", filled)
	}
	x.reset()
	for _, left := range leftovers("exchange", reflect.ValueOf(x).Elem()) {
		t.Errorf("after reset, %s", left)
	}
	if x.response.Header != &x.response.Local {
		t.Error("the header of the next response isn't its own")
	}
}

// TestStreamForgetsEverything is the same for HTTP/1's streams.
func TestStreamForgetsEverything(t *testing.T) {
	t.Parallel()
	s := new(http1Stream)
	if filled := fill(t, "stream", reflect.ValueOf(s).Elem(), 1<<20); filled < 40 {
		t.Errorf("only %d fields were filled", filled)
	}
	s.reset()
	for _, left := range leftovers("stream", reflect.ValueOf(s).Elem()) {
		t.Errorf("after reset, %s", left)
	}
	if cap(s.pump.Out) > 64<<10 {
		t.Errorf("the pump keeps %d bytes", cap(s.pump.Out))
	}
}

// TestResetDropsLargeMemory: what one large request needed isn't kept for all
// the small ones after it.
func TestResetDropsLargeMemory(t *testing.T) {
	t.Parallel()
	x := new(exchange)
	fill(t, "exchange", reflect.ValueOf(x).Elem(), 1<<20)
	x.reset()
	for name, size := range map[string]int{
		"values": cap(x.values), "pathBuf": cap(x.pathBuf), "sendBuf": cap(x.sendBuf), "line": cap(x.line.buf),
		"script.keyBuf": cap(x.script.keyBuf), "response.Body": cap(x.response.Body),
	} {
		if size > 64<<10 {
			t.Errorf("%s keeps %d bytes", name, size)
		}
	}
	if n := memoryOf(t, &x.call, "head") + memoryOf(t, &x.call, "out"); n > 64<<10 {
		t.Errorf("the call keeps %d bytes", n)
	}
}

func memoryOf(t *testing.T, owner any, name string) int {
	t.Helper()
	f := reflect.ValueOf(owner).Elem().FieldByName(name)
	if !f.IsValid() {
		t.Fatalf("there is no field %s", name)
	}
	return f.Cap()
}

// TestEncoderIsReleased: an encoder in its pool leads to nobody's response, and
// one that is taken from it begins anew, whatever its last response came to.
func TestEncoderIsReleased(t *testing.T) {
	t.Parallel()
	e := acquireEncoder(gzip.BestSpeed, &http1Stream{})
	e.dirty = true
	if err := e.write([]byte("another tenant's")); err != nil {
		t.Fatal(err)
	}
	e.release()
	if e.to != nil {
		t.Error("a released encoder leads to a response")
	}
	again := acquireEncoder(gzip.BestSpeed, &http1Stream{})
	defer again.release()
	if again.dirty {
		t.Error("an encoder that was just taken has something to flush")
	}
}

// fill sets v and all within it to something else than zero, and returns how
// many fields it has set. Slices get room for size elements.
func fill(t *testing.T, path string, v reflect.Value, size int) (n int) {
	t.Helper()
	v = reachable(v)
	switch v.Kind() {
	case reflect.Struct:
		if v.Type().PkgPath() == "sync" {
			return 0
		}
		for i := range v.NumField() {
			n += fill(t, path+"."+v.Type().Field(i).Name, v.Field(i), size)
		}
		return n
	case reflect.Array:
		for i := range v.Len() {
			fill(t, path, v.Index(i), size)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.UnsafePointer: // of an atomic pointer
		v.SetPointer(unsafe.Pointer(new(int)))
	case reflect.Slice:
		room := size
		if v.Type().Elem().Kind() != reflect.Uint8 {
			room = 1
		}
		v.Set(reflect.MakeSlice(v.Type(), room, room))
		fill(t, path, v.Index(0), 1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Chan:
		done := reflect.MakeChan(v.Type(), 0)
		v.Set(done)
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { return nil }))
	case reflect.Interface:
		v.Set(filling(t, path, v.Type()))
	default:
		fillPlain(t, path, v)
	}
	return 1
}

func fillPlain(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	case v.CanFloat():
		v.SetFloat(1)
	default:
		t.Fatalf("%s: nothing is known to fill a %s with", path, v.Type())
	}
}

// filling returns something for a field of an interface's type.
func filling(t *testing.T, path string, wanted reflect.Type) reflect.Value {
	t.Helper()
	for _, candidate := range []any{errors.New("x"), &net.TCPConn{}, new(exchange), &client{}, new(http1Stream), new(http1.Body), grants{}, new(upstream.Target)} {
		if v := reflect.ValueOf(candidate); v.Type().Implements(wanted) {
			return v
		}
	}
	t.Fatalf("%s: nothing is known that implements %s", path, wanted)
	return reflect.Value{}
}

// grants is an http1.Allowance.
type grants struct{}

func (grants) Acquire(int64) bool { return true }
func (grants) Release(int64)      {}

// leftovers lists what isn't zero within v, and may not be kept.
func leftovers(path string, v reflect.Value) (list []string) {
	v = reachable(v)
	if why, kept := keptFields[path]; kept {
		if why == "empty" && v.Len() > 0 {
			list = append(list, fmt.Sprintf("%s has %d elements, want none", path, v.Len()))
		}
		return list
	}
	if v.Kind() != reflect.Struct {
		if !v.IsZero() {
			list = append(list, path+" is still there")
		}
		return list
	}
	for i := range v.NumField() {
		list = append(list, leftovers(path+"."+v.Type().Field(i).Name, v.Field(i))...)
	}
	return list
}

// reachable is v with the right to read and set it, whoever's field it is.
func reachable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}

// TestParsedAnew: a head is parsed alike whatever was there before.
func TestParsedAnew(t *testing.T) {
	t.Parallel()
	request, fresh := new(http1.Request), new(http1.Request)
	fill(t, "request", reflect.ValueOf(request).Elem(), 1)
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := errors.Join(request.Parse(head, 100), fresh.Parse(head, 100)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(request, fresh) {
		t.Errorf("got %+v, want %+v", request, fresh)
	}
	response, empty := new(http1.Response), new(http1.Response)
	fill(t, "response", reflect.ValueOf(response).Elem(), 1)
	head = []byte("HTTP/1.1 200 OK\r\n\r\n")
	if err := errors.Join(response.Parse(head, false), empty.Parse(head, false)); err != nil || len(response.Header) > 0 {
		t.Fatal(err, response.Header)
	}
	response.Header = nil // it is empty
	if !reflect.DeepEqual(response, empty) {
		t.Errorf("got %+v, want %+v", response, empty)
	}
}
