//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	integers "math/big"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// secured is TLS beside plain text, at an address of its own.
type secured struct {
	address   netip.AddrPort
	cert, key string // files; cert has the key too, as HAProxy wants it
}

// handshakes says how often a client of a TLS loop makes one.
type handshakes uint8

const (
	keptConnections handshakes = iota
	fullHandshakes             // for each request
	resumedSessions            // likewise, but a session goes on
)

// tlsComparisons are TLS 1.3 with an ECDSA certificate (P-256).
func tlsComparisons() []comparison {
	list := []comparison{
		{
			scenario: closedScenario("tls-kept", "a GET over TLS 1.3, 32 kept connections"),
			run:      securely(32, "/users/7?page=2", keptConnections), goals: []promise{cpuGoal(peerNginx, 1.05, 1)},
		}, {
			scenario: closedScenario("tls-full", "a GET with a full handshake of TLS 1.3 (ECDSA P-256), 16 clients"),
			run:      securely(16, "/users/7?page=2", fullHandshakes), goals: []promise{cpuGoal(peerNginx, 1.3, 1)},
		}, {
			scenario: closedScenario("tls-resumed", "a GET with a resumed session of TLS 1.3, 16 clients"),
			run:      securely(16, "/users/7?page=2", resumedSessions), goals: []promise{cpuGoal(peerNginx, 1.2, 1)},
		}, {
			scenario: closedScenario("tls-1m-down", "responses of 1 MiB over TLS 1.3, 16 kept connections"),
			run:      securely(16, largePath, keptConnections), goals: []promise{cpuGoal(peerNginx, 1.1, 1)},
		},
	}
	for i := range list {
		list[i].secure = true
		list[i].metrics = clientMetrics()
		list[i].takes = func(p *peer) bool { return slices.Contains([]string{ours, peerNginx, peerHAProxy}, p.name) }
	}
	return list
}

// secureFiles writes a certificate for all names, and finds an address.
func (l *lab) secureFiles() (*secured, error) {
	s := &secured{}
	var err error
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: integers.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"*.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if s.key, err = l.write("tls/bench.key", string(keyText)); err != nil {
		return nil, err
	}
	s.cert, err = l.write("tls/bench.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))+string(keyText))
	return s, err
}

// securely measures a closed loop over TLS.
func securely(clients int, path string, how handshakes) func(context.Context, *lab, *running) (sample, error) {
	return func(ctx context.Context, l *lab, r *running) (sample, error) {
		restore, err := bindProcess(r.cpus)
		if err != nil {
			return nil, err
		}
		loop := clientLoop{clients: clients, warmup: l.warmup(), duration: l.options.duration}
		m, err := loop.run(ctx, r.pid(), func(ctx context.Context, _ int, answered func(int)) error {
			c := &tlsClient{address: r.work.secure.address, how: how, host: hostName(0), path: path, sessions: tls.NewLRUClientSessionCache(1)}
			defer c.close()
			for ctx.Err() == nil {
				if err := c.ask(ctx); err != nil {
					return err
				}
				answered(1)
			}
			return nil
		})
		if err = errors.Join(err, restore()); err != nil {
			return nil, err
		}
		return m.sample(r.pid()), nil
	}
}

// tlsClient is one client of a loop.
type tlsClient struct {
	address    netip.AddrPort
	how        handshakes
	host, path string
	sessions   tls.ClientSessionCache
	conn       *tls.Conn
	reader     *bufio.Reader
	asked      int
}

func (c *tlsClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *tlsClient) ask(ctx context.Context) error {
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(c.conn, "GET "+c.path+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered with %d, want 200", response.StatusCode)
	}
	if c.how != keptConnections {
		c.close()
	}
	return err
}

func (c *tlsClient) connect(ctx context.Context) error {
	// It is on the same machine, which has made the certificate.
	config := &tls.Config{ServerName: c.host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, // #nosec G402
		CurvePreferences: []tls.CurveID{tls.X25519}, // which all have; the gateway alone would do ML-KEM's work besides
	}
	if c.how == resumedSessions {
		config.ClientSessionCache = c.sessions
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", c.address.String())
	if err != nil {
		return err
	}
	c.conn = conn.(*tls.Conn) //nolint:forcetypeassert // so it says
	c.reader = bufio.NewReaderSize(c.conn, 32<<10)
	if c.asked++; c.how == resumedSessions && c.asked > 1 && !c.conn.ConnectionState().DidResume {
		return errors.New("the session is not resumed")
	}
	return nil
}

// bindProcess binds all threads of this process, as sendFrom does one.
func bindProcess(cpus []int) (restore func() error, err error) {
	var before, during unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	for _, cpu := range cpus {
		during.Set(cpu)
	}
	bind := func(set *unix.CPUSet) error {
		threads, err := os.ReadDir("/proc/self/task")
		for _, thread := range threads {
			if id, _ := strconv.Atoi(thread.Name()); id > 0 {
				_ = unix.SchedSetaffinity(id, set) // it may have ended
			}
		}
		return err
	}
	return func() error { return bind(&before) }, bind(&during)
}
