package authority

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a DNS server, over TCP: each name has the address 127.0.0.1, and the
// texts that are set.
type Names struct {
	address string

	mu    sync.Mutex
	texts map[string][]string // guarded by mu
}

// SetText gives a name a text, and none if value is "".
func (n *Names) SetText(name, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = strings.TrimSuffix(name, ".")
	if value == "" {
		delete(n.texts, name)
		return
	}
	n.texts[name] = append(n.texts[name], value)
}

func startNames(t testing.TB) *Names {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	if err != nil {
		t.Fatal(err)
	}
	n := &Names{address: listener.Addr().String(), texts: map[string][]string{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = n.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return n
}

// serve answers the questions of one connection.
func (n *Names) serve(conn net.Conn) (err error) {
	defer func() { err = errors.Join(err, conn.Close()) }()
	for {
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return err
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return err
		}
		answer, err := n.answer(question)
		if err != nil {
			return err
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil { //nolint:gosec // G115: it is short
			return err
		}
	}
}

func (n *Names) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	for _, q := range m.Questions {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
		switch q.Type {
		case dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}})
		case dnsmessage.TypeTXT:
			for _, text := range n.textsOf(q.Name.String()) {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.TXTResource{TXT: []string{text}}})
			}
		}
	}
	return m.Pack()
}

func (n *Names) textsOf(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.texts[strings.TrimSuffix(name, ".")]...)
}
