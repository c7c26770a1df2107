package grpc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// A client of gRPC-Web by hand.

// webClient speaks gRPC-Web in one encoding over one version of HTTP.
type webClient struct {
	base string
	http *http.Client
	text bool
}

// webClients are clients of a gateway for each encoding and version.
func webClients(t *testing.T, address string) map[string]*webClient {
	t.Helper()
	clients := map[string]*webClient{}
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(version == "HTTP/1.1")
		protocols.SetUnencryptedHTTP2(version == "HTTP/2")
		transport := &http.Transport{Protocols: protocols}
		t.Cleanup(transport.CloseIdleConnections)
		for encoding, text := range map[string]bool{"binary": false, "text": true} {
			clients[version+" "+encoding] = &webClient{base: "http://" + address, http: &http.Client{Transport: transport}, text: text}
		}
	}
	return clients
}

// frame is a message as it is sent.
func frame(t *testing.T, m proto.Message) []byte {
	t.Helper()
	content, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(content))), content...) // #nosec G115 -- it is short
}

func (c *webClient) mediaType() string {
	if c.text {
		return "application/grpc-web-text+proto"
	}
	return "application/grpc-web+proto"
}

// request makes a request whose messages come one by one, of which each has its own
// padding; sized says that the length of all is told.
func (c *webClient) request(ctx context.Context, t *testing.T, path string, sized bool, messages ...proto.Message) *http.Request {
	t.Helper()
	var parts []io.Reader
	for _, m := range messages {
		part := frame(t, m)
		if c.text {
			part = base64.StdEncoding.AppendEncode(nil, part)
		}
		parts = append(parts, bytes.NewReader(part))
	}
	body := io.MultiReader(parts...)
	if sized {
		all, _ := io.ReadAll(body)
		body = bytes.NewReader(all)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", c.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", c.mediaType())
	r.Header.Set("X-Grpc-Web", "1")
	r.Header.Set("X-User-Agent", "grpc-web-javascript/0.1")
	return r
}

// webAnswer is a response that is read message by message.
type webAnswer struct {
	*http.Response
	from    io.Reader
	status  string
	trailer http.Header // of its frame; nil before that
}

// send sends a request; a status in the header is the answer's.
func (c *webClient) send(t *testing.T, r *http.Request) *webAnswer {
	t.Helper()
	response, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return newWebAnswer(response)
}

func newWebAnswer(response *http.Response) *webAnswer {
	a := &webAnswer{Response: response, from: response.Body, status: response.Header.Get("Grpc-Status")}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/grpc-web-text") {
		a.from = &groups{from: response.Body}
	}
	return a
}

// groups decodes base64 in which padding stands anywhere, four characters at a time.
type groups struct {
	from io.Reader
	left []byte
}

func (g *groups) Read(p []byte) (int, error) {
	if len(g.left) == 0 {
		var group [4]byte
		if _, err := io.ReadFull(g.from, group[:]); err != nil {
			return 0, err
		}
		decoded, err := base64.StdEncoding.DecodeString(string(group[:]))
		if err != nil {
			return 0, fmt.Errorf("%q: %w", group, err)
		}
		g.left = decoded
	}
	n := copy(p, g.left)
	g.left = g.left[n:]
	return n, nil
}

// next reads the next message into m. The trailers are io.EOF, as is the end of a
// response that has its status in the header.
func (a *webAnswer) next(m proto.Message) error {
	var prefix [5]byte
	if _, err := io.ReadFull(a.from, prefix[:]); err != nil {
		return err
	}
	content := make([]byte, binary.BigEndian.Uint32(prefix[1:]))
	if _, err := io.ReadFull(a.from, content); err != nil {
		return err
	}
	if prefix[0] != 0x80 {
		return proto.Unmarshal(content, m)
	}
	a.trailer = http.Header{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(content), "\r\n"), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name != strings.ToLower(name) {
			return fmt.Errorf("the trailers have the line %q", line)
		}
		a.trailer.Add(name, strings.TrimSpace(value))
	}
	a.status = a.trailer.Get("Grpc-Status")
	if n, err := a.from.Read(prefix[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%d bytes follow the trailers: %w", n, err)
	}
	return io.EOF
}
