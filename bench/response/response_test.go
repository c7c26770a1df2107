package response_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/bench/response"
)

// parse reads a response in pieces of at most size bytes, as it would arrive, and
// then the connection's end.
func parse(text []byte, size int) (done bool, status int, err error) {
	var r response.Reader
	r.Reset(false)
	for len(text) > 0 && err == nil {
		if done && r.Status == 101 {
			break
		}
		if done {
			return false, 0, errors.New("there is more")
		}
		n := min(size, len(text))
		done, err = r.Feed(text[:n])
		text = text[n:]
	}
	return done || err == nil && r.End(), r.Status, err
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		response string
		status   int // 0 is an error, 1 is incomplete
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200},
		{"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200},
		{"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", 204},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nT: t\r\n\r\n", 200},
		{"HTTP/1.0 200 OK\r\nA: b\r\n\r\nuntil the end", 200},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 1},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n", 0},
		{"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", 0},
		{"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello", 101},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n", 0},
		{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 17), 0},
		{"SSH-2.0-OpenSSH_9.2p1\r\nA: b\r\n\r\n", 0},
	} {
		for _, size := range []int{1, 3, 1 << 20} {
			done, status, err := parse([]byte(test.response), size)
			switch {
			case test.status == 0 && err == nil, test.status > 0 && err != nil:
				t.Errorf("%q in pieces of %d: error %v", test.response, size, err)
			case test.status == 1 && done, test.status > 1 && (!done || status != test.status):
				t.Errorf("%q in pieces of %d: done %v with status %d", test.response, size, done, status)
			}
		}
	}
}

// FuzzParse demands the same result however a response is cut into pieces.
func FuzzParse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: t\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, response []byte) {
		if len(response) > 4<<10 {
			return // pieces may only differ beyond the limits
		}
		whole, status, err := parse(response, len(response)+1)
		for _, size := range []int{1, 7} {
			pieces, again, pieceErr := parse(response, size)
			if pieces != whole || (pieceErr == nil) != (err == nil) || err == nil && again != status {
				t.Errorf("whole: %v, %d, %v; in pieces of %d: %v, %d, %v", whole, status, err, size, pieces, again, pieceErr)
			}
		}
	})
}
