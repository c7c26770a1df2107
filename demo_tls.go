package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// demoSecure is where the demo speaks TLS, unless somebody else is there.
const demoSecure = "127.0.0.1:8443"

// demoLife is how long its certificate is good for.
const demoLife = 30 * 24 * time.Hour

// demoTLS is what the demo has for https: a certificate that is its own authority,
// made for this run. The zero value is none.
type demoTLS struct {
	dir       string // with both files; removed at the end
	cert, key string
	address   string
}

// secure makes a certificate, and says where it is to be served.
func (d *demo) secure(config *proxy.Config) (*proxy.Besides, error) {
	address := demoSecure
	if taken(address, config) {
		address = "127.0.0.1:0"
	}
	made, err := newDemoTLS(address)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate for the demo: %w", err)
	}
	d.tls = *made
	return &proxy.Besides{Address: address, Cert: made.cert, Key: made.key}, nil
}

// taken reports whether an address is another program's, or the configuration's.
func taken(address string, config *proxy.Config) bool {
	if listener.SameAddress(address, config.Server.Address) || listener.SameAddress(address, config.Admin.Address) {
		return true
	}
	for i := range config.Listeners {
		if listener.SameAddress(address, config.Listeners[i].Address) {
			return true
		}
	}
	probe, err := net.Listen("tcp", address)
	return err != nil || probe.Close() != nil
}

// newDemoTLS makes a certificate for this machine's names, in a directory that nobody
// else can read.
func newDemoTLS(address string) (*demoTLS, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Keystone Gateway's demo"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(demoLife),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	t := &demoTLS{address: address}
	if t.dir, err = os.MkdirTemp("", "keystone-demo-"); err != nil {
		return nil, err
	}
	t.cert, t.key = filepath.Join(t.dir, "cert.pem"), filepath.Join(t.dir, "key.pem")
	for path, block := range map[string]*pem.Block{t.cert: {Type: "CERTIFICATE", Bytes: cert}, t.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.remove()
			return nil, err
		}
	}
	return t, nil
}

// remove takes the files away.
func (t *demoTLS) remove() {
	if t.dir != "" {
		_ = os.RemoveAll(t.dir)
	}
}

// url is where the gateway is reached with https; "" is nowhere.
func (t *demoTLS) url(server *proxy.Server) string {
	if t.address == "" {
		return ""
	}
	addresses := server.Addrs() // the demo's listener is the last one
	_, port, err := net.SplitHostPort(addresses[len(addresses)-1].String())
	if err != nil {
		return ""
	}
	return "https://localhost:" + port
}

// quoted is a path as a shell takes it for one word.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
