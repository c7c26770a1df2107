package grpc_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// stepping is a service of which each message, and the end, is let through one by one.
type stepping struct {
	testgrpc.TestServiceServer
	step  chan struct{}
	saw   chan metadata.MD
	ended chan error
}

// StreamingOutputCall sends the messages that are asked for, and ends with ABORTED.
func (s *stepping) StreamingOutputCall(r *testgrpc.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.saw <- md
	for _, p := range r.GetResponseParameters() {
		select {
		case <-s.step:
		case <-stream.Context().Done():
			s.ended <- stream.Context().Err()
			return stream.Context().Err()
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	select {
	case <-s.step:
	case <-stream.Context().Done():
		s.ended <- stream.Context().Err()
	}
	return status.Error(codes.Aborted, "50 % of it, naïvely\r\n")
}

// serve serves a service of the suite.
func serve(t *testing.T, service testgrpc.TestServiceServer) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

const (
	unary     = "/grpc.testing.TestService/UnaryCall"
	streaming = "/grpc.testing.TestService/StreamingOutputCall"
)

// TestWebUnary: a call is answered by a message and the trailers, whatever its size, with
// all metadata; one that fails by its status alone.
func TestWebUnary(t *testing.T) {
	address, _ := target(t)
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}]`)
	for name, c := range webClients(t, server.Addr().String()) {
		for _, size := range []int32{0, 1, 2, 1000, 300_000} {
			for _, sized := range []bool{true, false} {
				r := c.request(t.Context(), t, unary, sized, &testgrpc.SimpleRequest{ResponseSize: size, Payload: &testgrpc.Payload{Body: make([]byte, size/2)}})
				r.Header.Set("X-Grpc-Test-Echo-Initial", "first")
				r.Header.Set("X-Grpc-Test-Echo-Trailing-Bin", "q6ur")
				a := c.send(t, r)
				var m testgrpc.SimpleResponse
				err := a.next(&m)
				if err != nil || len(m.GetPayload().GetBody()) != int(size) {
					t.Errorf("%s: %d bytes of %d, %v", name, len(m.GetPayload().GetBody()), size, err)
				}
				if err := a.next(&m); !errors.Is(err, io.EOF) || a.status != "0" || a.trailer.Get("X-Grpc-Test-Echo-Trailing-Bin") != "q6ur" {
					t.Errorf("%s: it ends with %v, %v", name, a.trailer, err)
				}
				if kind := a.Header.Get("Content-Type"); a.StatusCode != 200 || kind != c.mediaType() || a.Header.Get("X-Grpc-Test-Echo-Initial") != "first" || len(a.Trailer) > 0 {
					t.Errorf("%s: %d %v, trailers %v", name, a.StatusCode, a.Header, a.Trailer)
				}
			}
		}
		for path, want := range map[string]string{unary: "2 told so", "/grpc.testing.TestService/Nothing": "12 unknown method Nothing for service grpc.testing.TestService"} {
			a := c.send(t, c.request(t.Context(), t, path, true, &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: 2, Message: "told so"}}))
			content, err := io.ReadAll(a.Body)
			if got := a.status + " " + a.Header.Get("Grpc-Message"); err != nil || len(content) > 0 || got != want || a.StatusCode != 200 || a.Header.Get("Content-Type") != c.mediaType() {
				t.Errorf("%s: a status alone comes as %d %v with %q, %v", name, a.StatusCode, a.Header, content, err)
			}
		}
	}
}

// TestWebStreams: each message comes when it is there, before the next one; a status
// behind messages comes in their frame; what is gRPC-Web's alone stays here.
func TestWebStreams(t *testing.T) {
	service := &stepping{TestServiceServer: interop.NewTestServer(), step: make(chan struct{}, 9), saw: make(chan metadata.MD, 9), ended: make(chan error, 9)}
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+serve(t, service)+`"}], grpc: {web: true}}]`)
	sizes := []int32{1, 2, 0, 70_000, 3}
	ask := &testgrpc.StreamingOutputCallRequest{}
	for _, size := range sizes {
		ask.ResponseParameters = append(ask.ResponseParameters, &testgrpc.ResponseParameters{Size: size})
	}
	for name, c := range webClients(t, server.Addr().String()) {
		r := c.request(t.Context(), t, streaming, false, ask)
		r.Header.Set("Accept", c.mediaType())
		r.Header.Set("Accept-Encoding", "gzip")
		service.step <- struct{}{}
		a := c.send(t, r)
		md := <-service.saw
		for field, want := range map[string]string{"content-type": "application/grpc+proto", "x-user-agent": "grpc-web-javascript/0.1", "x-grpc-web": "", "accept": "", "accept-encoding": ""} {
			if got := strings.Join(md.Get(field), ","); got != want {
				t.Errorf("%s: the target sees %s %q, want %q", name, field, got, want)
			}
		}
		for i, size := range sizes {
			var m testgrpc.StreamingOutputCallResponse
			if err := a.next(&m); err != nil || len(m.GetPayload().GetBody()) != int(size) {
				t.Fatalf("%s: message %d has %d bytes: %v", name, i, len(m.GetPayload().GetBody()), err)
			}
			service.step <- struct{}{} // only now there is more
		}
		if err := a.next(nil); !errors.Is(err, io.EOF) || a.status != "10" || a.trailer.Get("Grpc-Message") != "50 %25 of it, na%C3%AFvely%0D%0A" {
			t.Errorf("%s: it ends with %v, %v", name, a.trailer, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		service.step <- struct{}{}
		a = c.send(t, c.request(ctx, t, streaming, true, ask))
		<-service.saw
		if err := a.next(new(testgrpc.StreamingOutputCallResponse)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if err := <-service.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: a call that its client has given up ends with %v", name, err)
		}
	}
}

// TestWebUploads: what comes piece by piece goes on so, though pieces of text may be
// parts of a group.
func TestWebUploads(t *testing.T) {
	address, _ := target(t)
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}]`)
	for name, c := range webClients(t, server.Addr().String()) {
		if strings.HasPrefix(name, "HTTP/1") { // whose client doesn't read before it has sent
			continue
		}
		from, to := io.Pipe()
		r := c.request(t.Context(), t, "/grpc.testing.TestService/FullDuplexCall", false)
		r.Body = from
		send := func(size int32) {
			part := frame(t, &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: size}}})
			if c.text {
				part = base64.StdEncoding.AppendEncode(nil, part)
			}
			for len(part) > 0 {
				n := min(3, len(part))
				if _, err := to.Write(part[:n]); err != nil {
					t.Error(err)
					return
				}
				part = part[n:]
			}
		}
		go send(10)
		a := c.send(t, r)
		for i := range int32(5) {
			if i > 0 {
				send(10 + i)
			}
			var m testgrpc.StreamingOutputCallResponse
			if err := a.next(&m); err != nil || len(m.GetPayload().GetBody()) != int(10+i) {
				t.Fatalf("%s: answer %d has %d bytes: %v", name, i, len(m.GetPayload().GetBody()), err)
			}
		}
		_ = to.Close()
		if err := a.next(nil); !errors.Is(err, io.EOF) || a.status != "0" {
			t.Errorf("%s: it ends with %v, %v", name, a.trailer, err)
		}
	}
}

// TestWebAccept: the response is in the encoding that is accepted, else in that of the
// request.
func TestWebAccept(t *testing.T) {
	address, _ := target(t)
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}]`)
	for name, c := range webClients(t, server.Addr().String()) {
		for accept, want := range map[string]string{
			"application/grpc-web-text": "application/grpc-web-text+proto", "application/grpc-web+proto": "application/grpc-web+proto",
			"text/html, application/grpc-web-text+proto, application/grpc-web": "application/grpc-web-text+proto", "*/*": c.mediaType(),
		} {
			r := c.request(t.Context(), t, unary, true, &testgrpc.SimpleRequest{ResponseSize: 10})
			r.Header.Set("Accept", accept)
			a := c.send(t, r)
			var m testgrpc.SimpleResponse
			if err := a.next(&m); err != nil || len(m.GetPayload().GetBody()) != 10 || a.Header.Get("Content-Type") != want {
				t.Errorf("%s accepts %s: %v with %v, %v", name, accept, a.Header, &m, err)
			}
		}
	}
}

// TestWebRetries: a call that was answered with a status which is retried has another
// target, as calls of gRPC have.
func TestWebRetries(t *testing.T) {
	away := serve(t, testgrpc.UnimplementedTestServiceServer{})
	address, _ := target(t)
	server, _ := gateway(t, `tenants:
- {name: t, domains: [127.0.0.1], services: [{url: "grpc://`+away+`"}, {url: "grpc://`+address+`"}], grpc: {web: true, retry_on: [unimplemented]}}
`)
	for name, c := range webClients(t, server.Addr().String()) {
		for range 2 {
			a := c.send(t, c.request(t.Context(), t, unary, true, &testgrpc.SimpleRequest{ResponseSize: 10}))
			var m testgrpc.SimpleResponse
			if err := a.next(&m); err != nil || len(m.GetPayload().GetBody()) != 10 {
				t.Errorf("%s: %v, %v", name, a.Header, err)
			}
		}
	}
}

// TestWebCORS: a page of another origin is let in by the policy cors, as docs/grpc.md has
// it, and can read the status.
func TestWebCORS(t *testing.T) {
	address, _ := target(t)
	server, _ := gateway(t, `tenants:
- name: t
  domains: [127.0.0.1]
  policies:
    - cors: {origins: [https://shop.example.com], methods: [POST], headers: [content-type, x-grpc-web, x-user-agent, grpc-timeout], expose: [grpc-status, grpc-message, grpc-status-details-bin]}
  services: [{url: "grpc://`+address+`"}]
  grpc: {web: true}
`)
	for name, c := range webClients(t, server.Addr().String()) {
		r := c.request(t.Context(), t, unary, true)
		r.Method, r.Header = "OPTIONS", http.Header{
			"Origin": {"https://shop.example.com"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type,x-grpc-web,x-user-agent"},
		}
		a := c.send(t, r)
		if allowed := a.Header.Get("Access-Control-Allow-Headers"); a.StatusCode != 204 || !strings.Contains(allowed, "x-grpc-web") || a.Header.Get("Access-Control-Allow-Origin") != r.Header.Get("Origin") {
			t.Errorf("%s: a preflight is answered %d %v", name, a.StatusCode, a.Header)
		}
		for _, code := range []int32{0, 5} {
			r = c.request(t.Context(), t, unary, true, &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: code}})
			r.Header.Set("Origin", "https://shop.example.com")
			a = c.send(t, r)
			if exposed := a.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "grpc-status") || a.Header.Get("Access-Control-Allow-Origin") == "" {
				t.Errorf("%s: %v", name, a.Header)
			}
		}
	}
}
