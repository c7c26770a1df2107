package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// Probes over HTTP/2: a GET, or gRPC's health protocol.

// openProbe opens what HTTP/2 needs, without a place: probes are few.
func (t *Target) openProbe(ctx context.Context, network, address string) (net.Conn, error) {
	plain, err := t.registry.options.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	sock, err := socket.New(plain, t.registry.options.Sweeper)
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	return sock, nil
}

// probeStream makes one exchange on a connection, which it closes. The error says
// what about the answer isn't healthy.
func (t *Target) probeStream(ctx context.Context, conn net.Conn, tuned *tuning) error {
	c, err := streams.NewConn(ctx, conn, socketOf(conn), streams.Options{Most: 1, Idle: tuned.timeout, WriteIdle: tuned.timeout})
	if err != nil {
		return t.explainBegin(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	if !c.Reserve() {
		return streams.ErrClosing
	}
	s := streams.Acquire(c, nil)
	defer s.Release()
	if err := s.Begin(tuned.block, tuned.content, true, false); err != nil {
		return err
	}
	answer, err := finalHead(s)
	if err != nil {
		return err
	}
	t.observe(outcome{kind: answered})
	content, err := probeContent(s)
	switch {
	case err != nil:
		return err
	case tuned.kind == probeGRPC:
		return judgeGRPC(answer, content, s.Trailer())
	case !tuned.expect.Contains(answer.Status):
		return fmt.Errorf("answered %d, expected %s", answer.Status, tuned.expect)
	}
	return nil
}

func finalHead(s *streams.Stream) (*message.Response, error) {
	for range maxInterim + 1 {
		r, _, err := s.ReadHead()
		if err != nil || r.Status >= 200 {
			return r, err
		}
	}
	return nil, errTooManyInterim
}

// probeContent reads the answer's content, of which the beginning is enough.
func probeContent(s *streams.Stream) (content []byte, err error) {
	for len(content) <= probeBodyLimit {
		span, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		content = append(content, span...)
	}
	return content, nil
}

// Of gRPC's health protocol (grpc.health.v1).
const (
	healthPath    = "/grpc.health.v1.Health/Check"
	healthServing = 1
)

var healthStates = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// healthRequest is the content of a probe: one message of gRPC, which asks for a
// service by its name; "" is the server as a whole.
func healthRequest(service string) []byte {
	var m []byte
	if service != "" { // field 1, a string
		m = append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(service))), service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...) //nolint:gosec // G115: a name's length
}

// judgeGRPC says what about an answer isn't healthy.
func judgeGRPC(r *message.Response, content []byte, trailer message.Header) error {
	status, text := trailer.Value(grpcStatus), trailer.Value(grpcMessage)
	if status == nil { // it has no content: all is in the head
		status, text = r.Header.Value(grpcStatus), r.Header.Value(grpcMessage)
	}
	switch {
	case r.Status != 200:
		return fmt.Errorf("answered %d, expected 200 of gRPC", r.Status)
	case status == nil:
		return errors.New("answered without a grpc-status: it doesn't speak gRPC")
	case string(status) == "12":
		return errors.New("answered grpc-status 12: it doesn't have gRPC's health service")
	case string(status) == "5":
		return errors.New("answered grpc-status 5: it doesn't know the service health.service names")
	case string(status) != "0":
		return fmt.Errorf("answered grpc-status %.8s %.100s", status, text)
	}
	state, ok := healthState(content)
	switch {
	case !ok:
		return errors.New("the answer isn't one of gRPC's health protocol")
	case state != healthServing && state < uint64(len(healthStates)):
		return errors.New("it says that it is " + healthStates[state])
	case state != healthServing:
		return errors.New("it says that it is in the unknown state " + strconv.FormatUint(state, 10))
	}
	return nil
}

var (
	grpcStatus  = []byte("grpc-status")
	grpcMessage = []byte("grpc-message")
)

// healthState reads the one field of the answer's message, which is 0 where it
// isn't there.
func healthState(content []byte) (state uint64, ok bool) {
	if len(content) < 5 || content[0] != 0 || int64(binary.BigEndian.Uint32(content[1:])) != int64(len(content)-5) {
		return 0, false
	}
	m := content[5:]
	if len(m) == 0 {
		return 0, true
	}
	if m[0] != 1<<3 {
		return 0, false
	}
	state, n := binary.Uvarint(m[1:])
	return state, n > 0
}

// probeBlock is the header block of a target's probes over HTTP/2.
func probeBlock(kind probeKind, path string, c *HealthConfig, address Address, timeout time.Duration) []byte {
	r := message.Sent{Method: []byte("GET"), Path: []byte(path), Authority: []byte(address.Authority)}
	if c.Host != "" {
		r.Authority = []byte(c.Host)
	}
	usual := [][2]string{{"user-agent", "keystone-gateway-probe"}, {"accept", "*/*"}}
	if kind == probeGRPC {
		r.Method, r.Trailers = []byte("POST"), true
		usual = [][2]string{
			{"user-agent", "keystone-gateway-probe"}, {"content-type", "application/grpc"},
			{"grpc-timeout", strconv.FormatInt(min(timeout.Milliseconds(), 99_999_999), 10) + "m"},
		}
	}
	for _, f := range usual {
		if !hasField(c.Headers, f[0]) {
			r.Own.Add([]byte(f[0]), []byte(f[1]))
		}
	}
	for name, value := range c.Headers {
		r.Own.Add([]byte(strings.ToLower(name)), []byte(value))
	}
	return http2.AppendRequest(nil, &r, scheme(address.Secure()), "", "")
}
