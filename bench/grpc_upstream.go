//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/net/http2"
)

// grpcUpstreamCommand makes bench a server of gRPC, in a process of its own.
const grpcUpstreamCommand = "grpc-upstream"

// startGRPCUpstream starts one on two ports, that answers each call with so many messages.
func (l *lab) startGRPCUpstream(ctx context.Context, addresses *[2]netip.AddrPort, messages int, cpus []int) (err error) {
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := l.startBound("the upstream of gRPC", cpus, nil, self, grpcUpstreamCommand, strconv.Itoa(messages), addresses[0].String(), addresses[1].String())
	if err != nil {
		return err
	}
	return p.listens(ctx, addresses[1])
}

// runGRPCUpstream serves until ctx is done.
func runGRPCUpstream(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("expected a number of messages, and addresses")
	}
	messages, err := strconv.Atoi(args[0])
	if err != nil || messages < 1 {
		return errors.New("expected at least 1 message")
	}
	ended := make(chan error, len(args))
	for _, address := range args[1:] {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		go func() { ended <- serveGRPC(listener, messages) }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

func serveGRPC(listener net.Listener, messages int) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		c := &grpcConn{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), messages: messages, window: 65535, initial: 65535}
		go func() {
			_ = c.serve()
			_ = conn.Close()
		}()
	}
}

// grpcConn is a connection from a proxy. It reads no header blocks: every call gets the
// same, as far as windows allow.
type grpcConn struct {
	conn     net.Conn
	in       *bufio.Reader
	out      []byte
	messages int

	window, initial int64
	pending         []grpcAnswer
	taken           uint32
}

// grpcAnswer is what is still to be sent on a stream.
type grpcAnswer struct {
	stream uint32
	left   int // messages
	window int64
}

// Header blocks: :status 200 and content-type application/grpc; grpc-status 0.
var (
	grpcHead    = []byte("\x88\x0f\x10\x10application/grpc")
	grpcTrailer = []byte("\x00\x0bgrpc-status\x010")
	grpcReply   = binary.BigEndian.AppendUint32([]byte{0}, grpcMessage-5)
)

func (c *grpcConn) serve() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.in, preface); err != nil {
		return err
	}
	c.out = appendFrame(c.out, http2.FrameSettings, 0, 0, []byte{0, 3, 0, 0, 3, 0xe8}) // 1,000 streams
	c.out = appendUpdate(c.out, wide)
	frame := make([]byte, frameHead+1<<24)
	for {
		if c.in.Buffered() == 0 {
			c.answer()
			if _, err := c.conn.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
		}
		if _, err := io.ReadFull(c.in, frame[:frameHead]); err != nil {
			return err
		}
		whole := frame[:frameHead+int(binary.BigEndian.Uint32(frame)>>8)]
		if _, err := io.ReadFull(c.in, whole[frameHead:]); err != nil {
			return err
		}
		c.take(whole)
	}
}

func (c *grpcConn) take(frame []byte) {
	kind, flags, payload := http2.FrameType(frame[3]), http2.Flags(frame[4]), frame[frameHead:]
	stream := binary.BigEndian.Uint32(frame[5:])
	switch kind {
	case http2.FrameData:
		if c.taken += uint32(len(payload)); c.taken > wide/2 { //nolint:gosec // G115: a frame's
			c.out = appendUpdate(c.out, c.taken)
			c.taken = 0
		}
		if flags.Has(http2.FlagDataEndStream) {
			c.out = appendFrame(c.out, http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, grpcHead)
			c.pending = append(c.pending, grpcAnswer{stream, c.messages, c.initial})
		}
	case http2.FrameSettings:
		c.settings(flags, payload)
	case http2.FramePing:
		if flags&1 == 0 {
			c.out = appendFrame(c.out, kind, 1, 0, payload)
		}
	case http2.FrameWindowUpdate:
		n := int64(binary.BigEndian.Uint32(payload))
		if stream == 0 {
			c.window += n
		}
		for i := range c.pending {
			if c.pending[i].stream == stream {
				c.pending[i].window += n
			}
		}
	}
}

func (c *grpcConn) settings(flags http2.Flags, payload []byte) {
	if flags&1 != 0 {
		return
	}
	for ; len(payload) >= 6; payload = payload[6:] {
		if http2.SettingID(binary.BigEndian.Uint16(payload)) == http2.SettingInitialWindowSize {
			c.initial = int64(binary.BigEndian.Uint32(payload[2:]))
		}
	}
	c.out = appendFrame(c.out, http2.FrameSettings, 1, 0, nil)
}

// answer sends what windows allow, each message in a frame.
func (c *grpcConn) answer() {
	kept := c.pending[:0]
	for _, a := range c.pending {
		for ; a.left > 0 && min(a.window, c.window) >= grpcMessage; a.left-- {
			at := len(c.out)
			c.out = append(c.out, make([]byte, frameHead+grpcMessage)...)
			putFrameHead(c.out[at:], grpcMessage, http2.FrameData, 0, a.stream)
			copy(c.out[at+frameHead:], grpcReply)
			a.window, c.window = a.window-grpcMessage, c.window-grpcMessage
		}
		if a.left > 0 {
			kept = append(kept, a)
			continue
		}
		c.out = appendFrame(c.out, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, a.stream, grpcTrailer)
	}
	c.pending = kept
}
