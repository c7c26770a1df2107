package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// maxKeys bounds the keys of one set.
const maxKeys = 100

var errJWK = errors.New("not a usable key")

// setKey is a key of a set.
type setKey struct {
	kid       string // "" is none
	algorithm string // the only one that it may be used with; "" is any that fits
	public    any
}

// jwk is a JSON Web Key: RFC 7517 section 4, RFC 7518 section 6, RFC 8037.
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	Curve      string   `json:"crv"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
}

// parseSet returns the keys of a set that can verify signatures. Others are
// left out, as RFC 7517 section 5 wants it; a set without any is an error.
func parseSet(text []byte) ([]setKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is not a key set: %w", err)
	}
	var keys []setKey
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		if key, err := parseJWK(raw); err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no usable keys")
	}
	return keys, nil
}

func parseJWK(text []byte) (setKey, error) {
	var k jwk
	if err := json.Unmarshal(text, &k); err != nil {
		return setKey{}, err
	}
	if k.Use != "" && k.Use != "sig" || len(k.Operations) > 0 && !slices.Contains(k.Operations, "verify") {
		return setKey{}, errJWK
	}
	public, err := k.public()
	if err != nil {
		return setKey{}, err
	}
	if err := checkKey(public); err != nil {
		return setKey{}, err
	}
	algorithm := k.Algorithm
	if algorithm == "Ed25519" { // RFC 9864: its name without ambiguity
		algorithm = "EdDSA"
	}
	if algorithm != "" && !slices.Contains(AlgorithmsOf(public), algorithm) {
		return setKey{}, errJWK
	}
	return setKey{kid: k.ID, algorithm: algorithm, public: public}, nil
}

// public returns the public key. A secret ("oct") has no place in a set that
// is fetched: whoever can read it could sign.
func (k *jwk) public() (any, error) {
	switch k.Type {
	case "RSA":
		n, err := number(k.N, maxRSA/8)
		if err != nil {
			return nil, err
		}
		e, err := number(k.E, 4)
		if err != nil || e.Int64() > 1<<31-1 {
			return nil, errJWK
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		return k.point()
	case "OKP":
		x, err := decodeWord(k.X)
		if err != nil || k.Curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errJWK
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errJWK
}

// point returns a key on a curve, which the point is checked to be on.
func (k *jwk) point() (any, error) {
	var curve elliptic.Curve
	switch k.Curve {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, errJWK
	}
	size := (curve.Params().BitSize + 7) / 8
	x, err := number(k.X, size)
	if err != nil {
		return nil, err
	}
	y, err := number(k.Y, size)
	if err != nil {
		return nil, err
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	x.FillBytes(point[1 : 1+size])
	y.FillBytes(point[1+size:])
	return ecdsa.ParseUncompressedPublicKey(curve, point)
}

// number decodes a positive number of at most size bytes.
func number(word string, size int) (*big.Int, error) {
	digits, err := decodeWord(word)
	if err != nil || len(digits) == 0 || len(digits) > size+1 {
		return nil, errJWK
	}
	n := new(big.Int).SetBytes(digits)
	if n.BitLen() > 8*size {
		return nil, errJWK
	}
	return n, nil
}

// decodeWord decodes base64url. There are sets that pad it, which they must not.
func decodeWord(word string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(word, "="))
}
