package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestListenerBesides: a listener that no file lists is there from the start, speaks TLS
// with its own certificate, and stays when the configuration changes.
func TestListenerBesides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serial := certify(t, dir, "besides.example")
	file := filepath.Join(dir, "config.yaml")
	write := func(via string) {
		if err := os.WriteFile(file, []byte("server: {address: '127.0.0.1:0', via: "+via+"}\nadmin: {enabled: false}\naccess_log: {enabled: false}\ntenants: [{name: a, domains: [a.example], services: [{url: 'http://127.0.0.1:1'}]}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	config, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	besides := &proxy.Besides{Address: port.Reserve(t), Cert: filepath.Join(dir, "besides.example.crt"), Key: filepath.Join(dir, "besides.example.key")}
	server, err := proxy.New(proxy.Options{File: file, Config: config, Besides: besides, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, via := range []string{"one", "two"} {
		list := server.Listeners()
		if len(list) != 2 {
			t.Fatalf("there are %d listeners, want 2", len(list))
		}
		if got := presented(t, list[1].Addr, "besides.example"); got != serial {
			t.Errorf("its certificate is %s, want %s", got, serial)
		}
		write(via + "-more")
		if result := server.Reload(); !result.OK || fmt.Sprint(result.Changes) != "[settings outside tenants changed]" {
			t.Errorf("%+v", result)
		}
		if now := server.Listeners(); len(now) != 2 || now[1].Addr.String() != list[1].Addr.String() {
			t.Errorf("after a reload it is another one: %v", now)
		}
	}
}

// presented is the serial number of the certificate that a listener shows for a name.
func presented(t *testing.T, at net.Addr, name string) string {
	t.Helper()
	conn, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	defer func() { _ = secure.Close() }()
	_ = secure.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		return err.Error()
	}
	return secure.ConnectionState().PeerCertificates[0].SerialNumber.String()
}
