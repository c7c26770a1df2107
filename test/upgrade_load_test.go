package test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestUpgrades replaces the process again and again, while requests come on kept
// connections, on new ones and over TLS, and tunnels are open: none fails, none is
// refused, no tunnel is cut. No request is sent twice here: what a browser would
// hide by trying again fails the test.
func TestUpgrades(t *testing.T) {
	upgrades, share, between := 3, 4, 200
	if os.Getenv("KEYSTONE_LONG") != "" {
		upgrades, share, between = 20, 1, 2000 // 1,000 requests a second
	}
	directory := t.TempDir()
	secured := port.Reserve(t)
	config, name := certified(t, directory)
	l := startLineage(t, fmt.Sprintf("access_log: {enabled: false}\n%slisteners: [{name: plain, address: %q}, {name: secure, address: %q, tls: true}]\n", name, "PLAIN", secured)+
		simpleConfig(echoUpstream(t)))
	plain := func() (net.Conn, error) { return net.DialTimeout("tcp", l.address, patience) }
	secure := func() (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", secured, config)
	}
	load := &traffic{stop: make(chan struct{})}
	pace := func(each time.Duration) time.Duration { return each * time.Duration(share) }
	for range 20 { // 700 a second on kept connections
		load.repeat(pace(28*time.Millisecond), (&keeper{dial: plain}).ask)
	}
	for range 10 { // 100 over TLS
		load.repeat(pace(100*time.Millisecond), (&keeper{dial: secure}).ask)
	}
	for range 10 { // that idle for longer than others take
		load.repeat(pace(400*time.Millisecond), (&keeper{dial: plain}).ask)
	}
	for range 4 { // 175 on new connections
		load.repeat(pace(23*time.Millisecond), func() error { return askOnce(plain) })
	}
	load.repeat(pace(40*time.Millisecond), func() error { return askOnce(secure) })
	for i := range 10 {
		dialler := plain
		if i%2 == 0 {
			dialler = secure
		}
		load.repeat(pace(50*time.Millisecond), openTunnel(t, dialler))
	}
	began := time.Now()
	for range upgrades {
		before := load.requests()
		eventually(t, patience, "requests go on", func() bool { return load.requests() >= before+between })
		l.upgrade(t)
	}
	last := load.requests()
	eventually(t, patience, "requests go on after the last", func() bool { return load.requests() >= last+between })
	t.Logf("%d upgrades in %s, %.0f requests and messages a second", upgrades, time.Since(began), float64(load.requests())/time.Since(began).Seconds())
	load.end(t)
	for i, p := range l.processes[:len(l.processes)-1] {
		select {
		case <-p.exited: // its tunnels have ended with the traffic
			t.Errorf("process %d has ended before the tunnels of the first", i+1)
		default:
		}
		if i == 0 {
			break
		}
	}
}

// certified makes a certificate; it returns what clients need to trust it, and the
// lines of the configuration.
func certified(t *testing.T, directory string) (*tls.Config, string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(directory, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12},
		fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\n", directory+"/cert.pem", directory+"/key.pem")
}

type dialer func() (net.Conn, error)

// keeper sends one request after the other on a connection, until it is told that
// the connection ends.
type keeper struct {
	dial dialer
	conn *client
}

func (k *keeper) ask() error {
	kept := k.conn != nil
	if !kept {
		conn, err := k.dial()
		if err != nil {
			return fmt.Errorf("a new connection: %w", err)
		}
		k.conn = clientOn(conn)
	}
	_ = k.conn.SetDeadline(time.Now().Add(patience))
	ends, err := askOn(k.conn, "")
	if err != nil {
		err = fmt.Errorf("a request (on a kept connection: %t): %w", kept, err)
	}
	if ends || err != nil {
		_ = k.conn.Close()
		k.conn = nil
	}
	return err
}

func askOn(c *client, fields string) (ends bool, err error) {
	if _, err = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n"); err != nil {
		return true, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return true, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != "hello /x" {
		err = fmt.Errorf("status %d: %q", response.StatusCode, body)
	}
	return response.Close, err
}

func askOnce(dial dialer) error {
	conn, err := dial()
	if err != nil {
		return fmt.Errorf("a new connection: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err = askOn(clientOn(conn), "Connection: close\r\n"); err != nil {
		err = fmt.Errorf("a request on a new connection: %w", err)
	}
	return err
}

// openTunnel opens one, and returns a function that sends a message through it and
// reads it back.
func openTunnel(t *testing.T, dial dialer) func() error {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := clientOn(conn)
	if _, err = io.WriteString(c, "GET /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if head, err := readHead(c.reader); err != nil || head.start != "HTTP/1.1 101 Switching Protocols" {
		t.Fatalf("no tunnel: %v, %v", head, err)
	}
	number := 0
	return func() error {
		number++
		message := fmt.Sprintf("message %d;", number)
		_ = c.SetDeadline(time.Now().Add(patience))
		got := make([]byte, len(message))
		if _, err := io.WriteString(c, message); err != nil {
			return fmt.Errorf("a tunnel, at its message %d: %w", number, err)
		}
		if _, err := io.ReadFull(c.reader, got); err != nil || string(got) != message {
			return fmt.Errorf("a tunnel, at its message %d: %q, %w", number, got, err)
		}
		return nil
	}
}
