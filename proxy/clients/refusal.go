package clients

import (
	"errors"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// spoke says what the client speaks, where that is why what it begins with is no
// request; else it returns err.
func (c *client) spoke(err error, begin []byte) error {
	switch {
	case !errors.As(err, new(message.Violation)):
	case proxyprotocol.Begins(begin):
		return exchange.SpokePROXY
	case !c.Secure && errors.Is(err, message.BadRequestLine) && upstream.SpeaksTLS(begin):
		return exchange.SpokeTLS
	}
	return err
}

// codeExpectsTLS is the error's code of the answer to HTTP on a TLS listener.
const codeExpectsTLS = "tls_expected"

// codeExpectsHTTP2 is the error's code of the answer to HTTP/1 where that isn't spoken.
const codeExpectsHTTP2 = "http2_expected"

// expectsHTTP2 answers a client of HTTP/1 on a listener that speaks HTTP/2 alone.
var expectsHTTP2 = Refusal(505, codeExpectsHTTP2,
	"505 HTTP Version Not Supported: this port speaks HTTP/2 alone\ncode: "+codeExpectsHTTP2+"\n")

// refuseHTTP1 answers a client whose protocol isn't spoken, if that is HTTP/1.
func (c *client) refuseHTTP1() {
	if c.headErr != nil || new(http1.Request).Parse(c.head, len(c.head)) != nil {
		return
	}
	c.Sock.SetWriteExpiry(socket.Nanotime() + int64(lingerTime))
	_, _ = c.Conn.Write(expectsHTTP2) // the connection ends in any case
	c.endWriting()
	c.lingers = true
}

// expectsTLS answers a client that speaks HTTP where TLS is expected.
var expectsTLS = Refusal(400, codeExpectsTLS,
	"400 Bad Request: this port speaks HTTPS, and was spoken to in HTTP without TLS\ncode: "+codeExpectsTLS+"\n")

// Refusal is the answer to a client of whom no request is read: to come again
// later, unless a body says what is wrong.
func Refusal(status int, code, body string) []byte {
	r := message.Response{Status: status}
	r.Length = int64(len(body))
	if body != "" {
		r.Header.Add([]byte("Content-Type"), []byte("text/plain; charset=utf-8"))
	}
	r.Header.Add([]byte("X-Gateway-Error"), []byte(code))
	if body == "" {
		r.Header.Add([]byte("Retry-After"), []byte("1"))
	}
	return append(http1.AppendResponse(nil, &r, 1, false, true), body...)
}
