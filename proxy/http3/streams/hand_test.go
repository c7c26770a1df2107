package streams_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
)

// hand is a client that says what the test has it say.
type hand struct {
	*quic.Conn
	t       testing.TB
	control *quic.SendStream
}

// connect opens a connection, with the streams that a client opens.
func connect(t testing.TB, g *gateway) *hand {
	t.Helper()
	h := &hand{Conn: g.dial(), t: t}
	h.control = h.uni(uint64(http3.ControlStream), http3.AppendSettings(nil)...)
	return h
}

// uni opens a stream of one direction.
func (h *hand) uni(kind uint64, more ...byte) *quic.SendStream {
	h.t.Helper()
	s, err := h.OpenUniStream()
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := s.Write(append(quicvarint.Append(nil, kind), more...)); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// section encodes fields, name after value, with another one's encoder.
func section(fields ...string) []byte {
	var out bytes.Buffer
	encoder := qpack.NewEncoder(&out)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return out.Bytes()
}

// frame is one, of a type.
func frame(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

// head is a HEADERS frame of a request.
func head(method, path string, fields ...string) []byte {
	return frame(1, section(append([]string{":method", method, ":scheme", "https", ":authority", "a.example", ":path", path}, fields...)...))
}

// send opens a stream, and says that on it.
func (h *hand) send(end bool, parts ...[]byte) *quic.Stream {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	s, err := h.OpenStreamSync(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(patience))
	for _, p := range parts {
		if _, err := s.Write(p); err != nil {
			h.t.Fatal(err)
		}
	}
	if end {
		_ = s.Close()
	}
	return s
}

// answer is what a stream has got: the status, and how it has ended.
func answer(s io.Reader) string {
	all, err := io.ReadAll(s)
	status := ""
	for len(all) > 0 {
		kind, length, n := http3.ParseFrame(all)
		if n == 0 || uint64(len(all)-n) < length {
			break
		}
		payload := all[n : n+int(length)] // #nosec G115 -- it is what has been read
		all = all[n+int(length):]         // #nosec G115 -- likewise
		if kind != http3.Headers {
			continue
		}
		next := qpack.NewDecoder().Decode(payload)
		for {
			field, err := next()
			if err != nil {
				break
			}
			if field.Name == ":status" {
				status += field.Value + " "
			}
		}
	}
	return strings.TrimSpace(status + ending(err))
}

// ending says how a stream, or a connection, has ended.
func ending(err error) string {
	if of, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return fmt.Sprint("connection ", http3.Code(of.ErrorCode))
	}
	if of, ok := errors.AsType[*quic.StreamError](err); ok {
		return fmt.Sprint("stream ", http3.Code(of.ErrorCode))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// ended waits for the end of the connection.
func (h *hand) ended() string {
	h.t.Helper()
	select {
	case <-h.Context().Done():
	case <-time.After(patience):
		h.t.Fatal("the connection goes on")
	}
	return ending(context.Cause(h.Context()))
}

// says is what comes on the gateway's control stream, until that many frames have.
func (h *hand) says(frames int) (list []string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	s, err := h.AcceptUniStream(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	in := quicvarint.NewReader(s)
	if kind, err := quicvarint.Read(in); err != nil || kind != 0 {
		h.t.Fatalf("a stream of type %d, %v", kind, err)
	}
	for range frames {
		kind, err := quicvarint.Read(in)
		if err != nil {
			return append(list, ending(err))
		}
		length, _ := quicvarint.Read(in)
		payload := make([]byte, length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return append(list, ending(err))
		}
		said := fmt.Sprintf("%#x", kind)
		if kind == uint64(http3.GoAway) {
			stream, _ := http3.ParseInteger(payload)
			said = fmt.Sprint("GOAWAY ", stream)
		}
		list = append(list, said)
	}
	return list
}
