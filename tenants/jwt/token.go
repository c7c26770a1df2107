package jwt

import (
	"errors"
	"fmt"
	"strings"

	gojwt "github.com/golang-jwt/jwt/v5"
)

const (
	// MaxToken is how long a token may be, in bytes.
	MaxToken = 16 << 10
	// maxTries bounds the keys that are tried for a token without a kid.
	maxTries = 8
)

// Why a token is not accepted. Check.Claims has more.
var (
	ErrNoToken    = errors.New("there is no token")
	errLongToken  = fmt.Errorf("token longer than %d bytes", MaxToken)
	ErrMalformed  = errors.New("token is malformed")
	errCritical   = errors.New("token has critical extensions, which are not supported")
	errAlgorithm  = errors.New("token has an algorithm that is not accepted")
	ErrSignature  = errors.New("token has a wrong signature")
	ErrUnknownKey = errors.New("token is signed with an unknown key")
)

// Token is a token in its parts. Nothing of it has been verified.
type Token struct {
	Algorithm string
	KeyID     string // "" is none
	Signed    string // what the signature is of
	Header    []byte // JSON
	Payload   []byte // JSON

	method    gojwt.SigningMethod
	signature []byte
	claims    gojwt.MapClaims
}

// Parse takes a token apart. It allocates up to 16 times its length.
func Parse(text string) (*Token, error) {
	if len(text) > MaxToken {
		return nil, errLongToken
	}
	if strings.ContainsFunc(text, strayInToken) {
		return nil, ErrMalformed
	}
	parser := gojwt.NewParser(gojwt.WithStrictDecoding())
	parsed, parts, err := parser.ParseUnverified(text, gojwt.MapClaims{})
	if errors.Is(err, gojwt.ErrTokenUnverifiable) {
		return nil, errAlgorithm
	}
	if err != nil {
		return nil, ErrMalformed
	}
	if _, ok := parsed.Header["crit"]; ok { // RFC 7515 section 4.1.11
		return nil, errCritical
	}
	kid, ok := parsed.Header["kid"].(string)
	if _, given := parsed.Header["kid"]; given && !ok {
		return nil, ErrMalformed
	}
	claims, ok := parsed.Claims.(gojwt.MapClaims)
	if !ok {
		return nil, ErrMalformed
	}
	t := &Token{
		Algorithm: parsed.Method.Alg(), method: parsed.Method, KeyID: kid,
		Signed: parts[0] + "." + parts[1], signature: parsed.Signature, claims: claims,
	}
	// They were decoded without an error just now.
	t.Header, _ = parser.DecodeSegment(parts[0])
	t.Payload, _ = parser.DecodeSegment(parts[1])
	return t, nil
}

// strayInToken reports characters that no token has: Go's base64 steps over line
// ends, so that one token would have many spellings.
func strayInToken(c rune) bool {
	return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
}

// Verify reports whether a key, which fits the token's algorithm, made its
// signature.
func (t *Token) Verify(key any) bool { return t.method.Verify(t.Signed, t.signature, key) == nil }

// Sign returns the signature of the encoded header and claims. The key is a
// private one, or a secret, that fits the algorithm.
func Sign(algorithm, text string, key any) ([]byte, error) {
	return gojwt.GetSigningMethod(algorithm).Sign(text, key)
}
