//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameHead = 9
	// wide is a window that is given back seldom, as browsers have it.
	wide = 1 << 30
	// grpcMessage is a message of 128 bytes as gRPC frames it.
	grpcMessage = 5 + 128
)

// http2Client is one connection of a closed loop: for each response that has come to its
// end it sends another request. Requests that are due together are written together. It
// counts what is answered with 200, with gRPC also with its status 0; anything else
// is an error.
type http2Client struct {
	address  netip.AddrPort
	hosts    []string
	next     int // of the hosts
	path     string
	grpc     bool
	answered func(int)

	conn    net.Conn
	out     []byte
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	stream  uint32 // of the next request
	owed    int    // requests for which there is no room in the window
	window  int64  // for content
	taken   uint32 // since the window was given back
	ended   int    // since it was last counted
	good    int    // of the fields that say so in the block that is read
	begun   map[uint32]bool
	message []byte
}

// run sends until the context is done.
func (c *http2Client) run(ctx context.Context, streams int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.conn, c.stream, c.window, c.owed, c.begun = conn, 1, 65535, streams, map[uint32]bool{}
	c.encoder = hpack.NewEncoder(outOf(&c.out))
	c.decoder = hpack.NewDecoder(4096, c.judge)
	if c.message = nil; c.grpc {
		c.message = make([]byte, grpcMessage)
		binary.BigEndian.PutUint32(c.message[1:], grpcMessage-5)
	}
	c.out = append(c.out, http2.ClientPreface...)
	c.out = appendFrame(c.out, http2.FrameSettings, 0, 0, []byte{0, 2, 0, 0, 0, 0, 0, 4, 0x40, 0, 0, 0}) // no push, a wide window
	c.out = appendUpdate(c.out, wide)
	return c.loop()
}

func (c *http2Client) loop() error {
	buf, have := make([]byte, 256<<10), 0
	for {
		if err := c.ask(); err != nil {
			return err
		}
		n, err := c.conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		at := 0
		for have-at >= frameHead {
			size := frameHead + int(binary.BigEndian.Uint32(buf[at:])>>8)
			if have-at < size {
				break
			}
			if err := c.take(buf[at : at+size]); err != nil {
				return err
			}
			at += size
		}
		have = copy(buf, buf[at:have])
		c.answered(c.ended)
		c.ended = 0
	}
}

// ask writes the requests that are due, as far as there is room for what they carry.
func (c *http2Client) ask() error {
	for ; c.owed > 0 && c.window >= int64(len(c.message)); c.owed-- {
		c.request()
	}
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *http2Client) request() {
	at := len(c.out)
	c.out = append(c.out, make([]byte, frameHead)...)
	field := func(name, value string) { _ = c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	method := "GET"
	if c.grpc {
		method = "POST"
	}
	field(":method", method)
	field(":scheme", "http")
	field(":path", c.path)
	field(":authority", c.hosts[c.next])
	flags := http2.FlagHeadersEndHeaders
	if c.grpc {
		field("te", "trailers")
		field("content-type", "application/grpc")
		field("user-agent", "grpc-go/1.80.0")
	} else {
		field("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		field("accept", "application/json")
		field("accept-encoding", "identity")
		flags |= http2.FlagHeadersEndStream
	}
	putFrameHead(c.out[at:], len(c.out)-at-frameHead, http2.FrameHeaders, flags, c.stream)
	if c.grpc {
		c.out = appendFrame(c.out, http2.FrameData, http2.FlagDataEndStream, c.stream, c.message)
		c.window -= int64(len(c.message))
	}
	c.next = (c.next + 1) % len(c.hosts)
	c.stream += 2
}

// take takes a frame.
func (c *http2Client) take(frame []byte) error {
	kind, flags, payload := http2.FrameType(frame[3]), http2.Flags(frame[4]), frame[frameHead:]
	stream := binary.BigEndian.Uint32(frame[5:])
	switch kind {
	case http2.FrameHeaders:
		if err := c.head(stream, flags, payload); err != nil {
			return err
		}
	case http2.FrameData:
		if c.taken += uint32(len(payload)); c.taken > wide/2 { //nolint:gosec // G115: a frame's
			c.out = appendUpdate(c.out, c.taken)
			c.taken = 0
		}
	case http2.FrameWindowUpdate:
		if stream == 0 {
			c.window += int64(binary.BigEndian.Uint32(payload))
		}
		return nil
	case http2.FrameSettings, http2.FramePing:
		if flags&1 == 0 {
			answer := payload
			if kind == http2.FrameSettings {
				answer = nil
			}
			c.out = appendFrame(c.out, kind, 1, 0, answer)
		}
		return nil
	case http2.FrameGoAway, http2.FrameRSTStream:
		if kind == http2.FrameRSTStream && !c.begun[stream] && binary.BigEndian.Uint32(payload) == 0 {
			return nil // it has answered before it had all of the request (RFC 9113 §8.1)
		}
		return fmt.Errorf("the proxy sent %v: %.200q", kind, payload)
	}
	if flags.Has(http2.FlagDataEndStream) && (kind == http2.FrameData || kind == http2.FrameHeaders) {
		if !c.begun[stream] || c.grpc && kind == http2.FrameData {
			return errors.New("a response ended without its head or its trailers")
		}
		delete(c.begun, stream)
		c.ended++
		c.owed++
	}
	return nil
}

// head takes a header block: all fit into a frame.
func (c *http2Client) head(stream uint32, flags http2.Flags, block []byte) error {
	if flags.Has(http2.FlagHeadersPadded) || flags.Has(http2.FlagHeadersPriority) || !flags.Has(http2.FlagHeadersEndHeaders) {
		return errors.New("HEADERS are padded, have a priority, or go on in another frame")
	}
	c.good = 0
	if _, err := c.decoder.Write(block); err != nil {
		return err
	}
	if err := c.decoder.Close(); err != nil {
		return err
	}
	if c.good == 0 {
		return errors.New("a response, or a call, has another status than the good one")
	}
	c.begun[stream] = true
	return nil
}

// judge looks at a field.
func (c *http2Client) judge(f hpack.HeaderField) {
	if f.Name == ":status" && f.Value == "200" || f.Name == "grpc-status" && f.Value == "0" {
		c.good++
	}
}

// outOf appends what is written.
type appender struct{ to *[]byte }

func outOf(to *[]byte) appender { return appender{to} }

func (a appender) Write(p []byte) (int, error) {
	*a.to = append(*a.to, p...)
	return len(p), nil
}

func putFrameHead(at []byte, length int, kind http2.FrameType, flags http2.Flags, stream uint32) {
	binary.BigEndian.PutUint32(at, uint32(length)<<8|uint32(kind)) //nolint:gosec // G115: of a frame
	at[4] = byte(flags)
	binary.BigEndian.PutUint32(at[5:], stream)
}

func appendFrame(dst []byte, kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHead)...)
	putFrameHead(dst[at:], len(payload), kind, flags, stream)
	return append(dst, payload...)
}

// appendUpdate gives back what the connection's window is to have.
func appendUpdate(dst []byte, n uint32) []byte {
	return appendFrame(dst, http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, n))
}
