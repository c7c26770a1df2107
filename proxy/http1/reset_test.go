package http1_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/test/pooled"
)

// TestParsedAnew: a head is parsed alike whatever was there before.
func TestParsedAnew(t *testing.T) {
	t.Parallel()
	request, fresh := new(http1.Request), new(http1.Request)
	pooled.Fill(t, request)
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := errors.Join(request.Parse(head, 100), fresh.Parse(head, 100)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(request, fresh) {
		t.Errorf("got %+v, want %+v", request, fresh)
	}
	response, empty := new(http1.Response), new(http1.Response)
	pooled.Fill(t, response)
	head = []byte("HTTP/1.1 200 OK\r\n\r\n")
	if err := errors.Join(response.Parse(head, false), empty.Parse(head, false)); err != nil || len(response.Header) > 0 {
		t.Fatal(err, response.Header)
	}
	response.Header = nil // it is empty
	if !reflect.DeepEqual(response, empty) {
		t.Errorf("got %+v, want %+v", response, empty)
	}
}
