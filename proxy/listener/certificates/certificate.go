// Package certificates holds the certificates of listeners, from files and from
// directories, and chooses the one that a client gets by the name that it asks
// for: an exact one before a wildcard, and else the default; an ECDSA one where
// the client takes it and there is an RSA one beside it.
//
//	set := certificates.Load(source, nil)     // set.Problems says what can't be used
//	config := &tls.Config{GetCertificate: set.Choose}
//
// Of ten thousand certificates most are never asked for: what is kept of each is
// what its files hold, and its key is made ready when a client asks for it first.
// A Store has the set that is in use, and takes up files that change.
package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// Pair names the files of a certificate with its chain, and of its private key;
// both are PEM, and may be one file.
type Pair struct{ Cert, Key string }

// Certificate is what a Pair's files held when they were read. Only whether its
// key is ready changes.
type Certificate struct {
	Pair      Pair     // zero where it is from no file
	Names     []string // lower case; wildcards begin with "*."
	Kind      Kind
	NotBefore time.Time
	NotAfter  time.Time

	chain     [][]byte // DER, the certificate itself first
	key       []byte   // DER
	responder string   // of OCSP; "" is none
	staple    atomic.Pointer[staple]
	ready     atomic.Pointer[tls.Certificate]
	used      atomic.Bool // since the last look of who bounds those that are ready
}

// Kind is what a certificate's key is, on which depends which clients take it.
type Kind uint8

// The kinds, in the order in which they are preferred.
const (
	ECDSA256 Kind = iota
	ECDSA384
	ECDSA521
	Ed25519
	RSA
)

var kindNames = [...]string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa"}

func (k Kind) String() string { return kindNames[k] }

// Leaf parses the certificate itself.
func (c *Certificate) Leaf() (*x509.Certificate, error) { return x509.ParseCertificate(c.chain[0]) }

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// read reads a pair. The key is compared with the certificate as far as that is
// cheap: 10,000 keys take seconds to be made ready. shared has parts of chains that
// others have too.
func read(pair Pair, shared *intern) (*Certificate, error) {
	chain, err := files.Read(pair.Cert, maxFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate can't be read: %w", err)
	}
	private := chain
	if pair.Key != pair.Cert {
		if private, err = files.Read(pair.Key, maxFile); err != nil {
			return nil, fmt.Errorf("the key can't be read: %w", err)
		}
	}
	c, err := parse(chain, private, shared)
	if err != nil {
		return nil, err
	}
	c.Pair = pair
	return c, nil
}

// Parse makes a certificate of its chain and its key, PEM both, which may be one
// text.
func Parse(chain, private []byte) (*Certificate, error) {
	return parse(chain, private, &intern{known: map[string][]byte{}})
}

func parse(chain, private []byte, shared *intern) (*Certificate, error) {
	c := &Certificate{}
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c.chain = append(c.chain, block.Bytes)
		}
	}
	if len(c.chain) == 0 {
		return nil, errors.New("the certificate's file has no PEM block CERTIFICATE")
	}
	leaf, err := x509.ParseCertificate(c.chain[0])
	if err != nil {
		return nil, err
	}
	for i := range c.chain {
		c.chain[i] = shared.of(c.chain[i], i > 0)
	}
	if c.key, err = keyIn(private); err != nil {
		return nil, err
	}
	if c.Kind, err = kindOf(leaf); err != nil {
		return nil, err
	}
	c.Names, c.NotBefore, c.NotAfter = namesOf(leaf), leaf.NotBefore, leaf.NotAfter
	if len(leaf.OCSPServer) > 0 {
		c.responder = leaf.OCSPServer[0]
	}
	if known, fits := fits(c.key, leaf); known && !fits {
		return nil, errForeignKey
	} else if !known {
		_, err = c.prepare() // which finds out
	}
	return c, err
}

var errForeignKey = errors.New("the key is not the certificate's")

// keyIn returns the private key of a PEM file.
func keyIn(text []byte) ([]byte, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("the key is encrypted with a password, expected one without")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return bytes.Clone(block.Bytes), nil
		}
	}
	return nil, errors.New("the key's file has no PEM block PRIVATE KEY")
}

func kindOf(leaf *x509.Certificate) (Kind, error) {
	switch public := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return ECDSA256, nil
		case elliptic.P384():
			return ECDSA384, nil
		case elliptic.P521():
			return ECDSA521, nil
		}
	case ed25519.PublicKey:
		return Ed25519, nil
	case *rsa.PublicKey:
		return RSA, nil
	}
	return 0, errors.New("the certificate's key is of a kind that TLS doesn't have here, expected RSA, ECDSA (P-256, P-384, P-521) or Ed25519")
}

// namesOf are those by which a client can ask for a certificate: those that it
// is for, or, where it says none in the way of this century, its common name.
func namesOf(leaf *x509.Certificate) []string {
	names := make([]string, 0, len(leaf.DNSNames))
	for _, name := range leaf.DNSNames {
		names = append(names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	if len(names) == 0 && len(leaf.IPAddresses) == 0 && strings.Contains(leaf.Subject.CommonName, ".") {
		names = append(names, strings.ToLower(leaf.Subject.CommonName))
	}
	return names
}

// fits compares the public part that a private key brings along with the
// certificate's. known is false where it brings none, or isn't understood.
func fits(key []byte, leaf *x509.Certificate) (known, fits bool) {
	var pkcs8 struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
	}
	if rest, err := asn1.Unmarshal(key, &pkcs8); err == nil && len(rest) == 0 || len(pkcs8.Key) > 0 {
		key = pkcs8.Key
	}
	switch public := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		modulus := modulusOf(key)
		return modulus != nil, modulus != nil && modulus.Cmp(public.N) == 0
	case *ecdsa.PublicKey:
		var sec1 struct {
			Version int
			Private []byte
			Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
			Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
		}
		if _, err := asn1.Unmarshal(key, &sec1); err != nil || len(sec1.Public.Bytes) == 0 {
			return false, false
		}
		return true, bytes.HasSuffix(leaf.RawSubjectPublicKeyInfo, sec1.Public.Bytes)
	}
	return false, false
}

// modulusOf is the second number of an RSA key (RFC 8017 §A.1.2); nil if it is
// none.
func modulusOf(key []byte) *big.Int {
	var list asn1.RawValue
	if _, err := asn1.Unmarshal(key, &list); err != nil || list.Tag != asn1.TagSequence {
		return nil
	}
	var version int
	var modulus *big.Int
	rest, err := asn1.Unmarshal(list.Bytes, &version)
	if err != nil {
		return nil
	}
	if _, err = asn1.Unmarshal(rest, &modulus); err != nil {
		return nil
	}
	return modulus
}

// prepare makes the key ready to sign. It may be called at once, and then the
// work is done more than once.
func (c *Certificate) prepare() (*tls.Certificate, error) {
	private, err := parseKey(c.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(c.chain[0])
	if err != nil {
		return nil, err
	}
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return nil, errForeignKey
	}
	return &tls.Certificate{Certificate: c.chain, PrivateKey: private, OCSPStaple: c.stapled()}, nil
}

func parseKey(der []byte) (crypto.Signer, error) {
	var key any
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		key, err = x509.ParsePKCS1PrivateKey(der)
	}
	if err != nil {
		key, err = x509.ParseECPrivateKey(der)
	}
	if signer, ok := key.(crypto.Signer); ok && err == nil {
		return signer, nil
	}
	return nil, errors.New("the key is malformed, expected PKCS #8, PKCS #1 or SEC 1")
}
