package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// minRSA is the least that RFC 7518 section 3.3 allows.
	minRSA = 2048
	// maxRSA bounds what one verification costs.
	maxRSA = 8192
	// maxSigningRSA bounds what one signature costs: about 7 ms.
	maxSigningRSA = 4096
	// ParseWork is what ParseKey costs, as VerifyWork counts. A private RSA key is
	// checked meanwhile.
	ParseWork = 20_000
)

var errPublic = errors.New("this is a public key, which everybody knows, and not a secret: give it as PEM, for an algorithm of its kind")

var hmacAlgorithms = [...]string{"HS256", "HS384", "HS512"}

// Algorithms lists the algorithms, those of secrets first.
func Algorithms() []string {
	return append(hmacAlgorithms[:], "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
}

// SetAlgorithms lists those that keys of fetched sets may have: no secrets'.
func SetAlgorithms() []string { return Algorithms()[len(hmacAlgorithms):] }

// AlgorithmsOf lists the algorithms that a key may be used with, best known
// first. Each curve has its own: RFC 7518 section 3.4.
func AlgorithmsOf(key any) []string {
	switch k := key.(type) {
	case []byte:
		return hmacAlgorithms[:]
	case *rsa.PublicKey, *rsa.PrivateKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		return []string{curveAlgorithm(k)}
	case *ecdsa.PrivateKey:
		return []string{curveAlgorithm(&k.PublicKey)}
	case ed25519.PublicKey, ed25519.PrivateKey:
		return []string{"EdDSA"}
	}
	return nil
}

func curveAlgorithm(key *ecdsa.PublicKey) string {
	switch key.Params().BitSize {
	case 256:
		return "ES256"
	case 384:
		return "ES384"
	case 521:
		return "ES512"
	}
	return "" // checkKey refuses it
}

// VerifyWork is what verifying with a key costs, in units of about 20 ns: an
// instruction of a script.
func VerifyWork(key any) int {
	switch k := key.(type) {
	case *rsa.PublicKey:
		times := max(k.N.BitLen()/minRSA, 1)
		return 5000 * times * times
	case *ecdsa.PublicKey:
		return curveWork(k)
	case ed25519.PublicKey:
		return 5000
	}
	return 50
}

// SignWork is what signing with a key costs, as VerifyWork counts.
func SignWork(key any) int {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		times := max(k.N.BitLen()/minRSA, 1)
		return 50_000 * times * times * times
	case *ecdsa.PrivateKey:
		return curveWork(&k.PublicKey)
	case ed25519.PrivateKey:
		return 5000
	}
	return 50
}

// curveWork is for verifying; signing costs less. Only P-256 is in assembly.
func curveWork(k *ecdsa.PublicKey) int {
	switch k.Params().BitSize {
	case 384:
		return 25_000
	case 521:
		return 60_000
	}
	return 5000
}

// parseKey makes a key of PEM, and a secret of anything else.
func parseKey(text string, private bool) (any, error) {
	if !strings.Contains(text, "-----BEGIN") {
		if isPublic(text) {
			return nil, errPublic
		}
		return []byte(text), nil
	}
	block, rest := pem.Decode([]byte(text))
	if block != nil && block.Type == "EC PARAMETERS" { // openssl writes the curve before the key
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("this is not PEM, though it looks so")
	}
	key, err := parseBlock(block)
	if err != nil {
		return nil, fmt.Errorf("cannot read the %.40q: %w", block.Type, err)
	}
	signer, isPrivate := key.(crypto.Signer)
	switch {
	case private && !isPrivate:
		return nil, errors.New("signing needs a private key, and this is a public one")
	case !private && isPrivate:
		key = signer.Public()
	}
	return key, checkKey(key)
}

// isPublic reports whether what would be a secret is a public key in another
// form than PEM.
func isPublic(text string) bool {
	for _, prefix := range []string{"ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	der := []byte(text)
	_, err1 := x509.ParsePKIXPublicKey(der)
	_, err2 := x509.ParsePKCS1PublicKey(der)
	_, err3 := x509.ParseCertificate(der)
	if err1 == nil || err2 == nil || err3 == nil {
		return true
	}
	_, err := parseJWK(der)
	return err == nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, errors.New("this kind of PEM is not supported")
}

// checkKey refuses keys that are too weak, too costly or of an unknown kind.
func checkKey(key any) error {
	most := maxRSA
	if k, ok := key.(*rsa.PrivateKey); ok {
		key, most = &k.PublicKey, maxSigningRSA
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		if bits := k.N.BitLen(); bits < minRSA || bits > most {
			return fmt.Errorf("an RSA key must have from %d to %d bits, and this has %d", minRSA, most, bits)
		}
		if k.E < 3 || k.E%2 == 0 {
			return errors.New("an RSA key with an exponent that is none")
		}
		return nil
	}
	if algorithms := AlgorithmsOf(key); len(algorithms) == 0 || slices.Contains(algorithms, "") {
		return errors.New("this kind of key is not supported: RSA, P-256, P-384, P-521 and Ed25519 are")
	}
	return nil
}
