package luatest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxResponse bounds a response body, in bytes.
const maxResponse = 16 << 20

// question is a request to the gateway. It is written as it stands, so that
// tests can ask what no well-behaved client would.
type question struct {
	method, target, host string
	fields               [][2]string
	body                 []byte
	framed               bool // the fields say where the body ends
	from                 string
	limit                int // bytes of the body after which the client goes away; 0 is none
	timeout              time.Duration
}

// reply is the response to a question.
type reply struct {
	status int
	reason string
	header http.Header
	body   []byte
}

// bytes returns the request as it is sent.
func (q *question) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, q.target, q.host)
	for _, field := range q.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", field[0], field[1])
	}
	takesBody := q.method == http.MethodPost || q.method == http.MethodPut || q.method == http.MethodPatch
	if !q.framed && (len(q.body) > 0 || takesBody) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.body))
	}
	b.WriteString("\r\n")
	b.Write(q.body)
	return b.Bytes()
}

// ask sends the question to address on a connection of its own, and waits for
// the whole response.
func (q *question) ask(ctx context.Context, address string) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	dialer := net.Dialer{}
	if q.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(q.from)}
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := make(chan error, 1)
	go func() { // a gateway that answers early need not read all; ends with the connection
		_, err := conn.Write(q.bytes())
		sent <- err
	}()
	r, err := q.read(conn)
	_ = conn.Close()
	if sending := <-sent; err != nil && sending != nil && ctx.Err() == nil {
		return nil, sending
	}
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("no complete response within %v", q.timeout)
	}
	return r, err
}

func (q *question) read(conn net.Conn) (*reply, error) {
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: q.method})
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				return nil, errors.New("the gateway closed the connection without a response")
			}
			return nil, err
		}
		if response.StatusCode/100 == 1 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		r := &reply{status: response.StatusCode, header: response.Header}
		_, r.reason, _ = strings.Cut(response.Status, " ")
		if response.StatusCode == http.StatusSwitchingProtocols {
			return r, nil
		}
		if len(response.TransferEncoding) > 0 {
			r.header.Set("Transfer-Encoding", strings.Join(response.TransferEncoding, ", "))
		}
		return r, q.readBody(r, response.Body)
	}
}

// readBody reads the body. It isn't closed, which would read the rest of it:
// the connection is.
func (q *question) readBody(r *reply, body io.Reader) (err error) {
	limit := maxResponse
	if q.limit > 0 {
		limit = q.limit
	}
	r.body, err = io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if len(r.body) > limit {
		if q.limit == 0 {
			return fmt.Errorf("the response has more than %d MiB", maxResponse>>20)
		}
		r.body = r.body[:limit]
		return nil
	}
	if err != nil {
		return fmt.Errorf("the response, %d, was cut after %d bytes of its body", r.status, len(r.body))
	}
	return nil
}
