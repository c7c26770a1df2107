package jwt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
)

// maxDate is far beyond any date and far below what time.Time can't hold.
const maxDate = 1e15

// Check is what a token must be.
type Check struct {
	// Algorithms are the accepted ones. Each fits the keys that are tried: the
	// token chooses among them, and must never turn a public key into a secret.
	Algorithms []string
	Issuer     string   // what the claim iss must be; "" is anything
	Audience   []string // one of them must be in the claim aud; none is anything
	Leeway     float64  // seconds by which clocks may differ
	Required   []string // names of claims that must be there
}

// Accepts returns an error for a token whose algorithm isn't accepted.
func (c *Check) Accepts(t *Token) error {
	if !slices.Contains(c.Algorithms, t.Algorithm) {
		return errAlgorithm
	}
	return nil
}

// Claims looks at the registered claims of a token: RFC 7519 section 4.1.
func (c *Check) Claims(t *Token, now time.Time) error {
	claims := t.claims
	for _, name := range c.Required {
		if claims[name] == nil {
			return fmt.Errorf("token has no claim %.60q", name)
		}
	}
	exp, hasExp, err := date(claims, "exp")
	if err != nil {
		return err
	}
	nbf, hasNbf, err := date(claims, "nbf")
	if err != nil {
		return err
	}
	seconds := float64(now.UnixNano()) / 1e9
	if hasExp && seconds >= exp+c.Leeway {
		return errors.New("token is expired")
	}
	if hasNbf && seconds < nbf-c.Leeway {
		return errors.New("token is not valid yet")
	}
	if c.Issuer != "" && claims["iss"] != c.Issuer {
		return errors.New("token has another issuer")
	}
	return c.checkAudience(claims)
}

func (c *Check) checkAudience(claims gojwt.MapClaims) error {
	if len(c.Audience) == 0 {
		return nil
	}
	audience, err := claims.GetAudience()
	if err != nil {
		return errors.New("token has a malformed audience")
	}
	for _, a := range audience {
		if slices.Contains(c.Audience, a) {
			return nil
		}
	}
	return errors.New("token is for another audience")
}

// date returns a claim that is a time, in seconds. golang-jwt takes 0 for
// absent and huge numbers for any time; here they are what they say, or wrong.
func date(claims gojwt.MapClaims, name string) (seconds float64, ok bool, err error) {
	value, ok := claims[name]
	if !ok {
		return 0, false, nil
	}
	seconds, ok = value.(float64)
	if !ok || math.Abs(seconds) > maxDate {
		return 0, false, fmt.Errorf("token has a malformed claim %q", name)
	}
	return seconds, true, nil
}
