package cookie

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Keys sign values, and encrypt them. The first one signs, and all verify, so that a
// new one takes over while cookies of the old one live. Its methods may be called at
// once.
type Keys struct {
	list    [][]byte
	sealing []cipher.AEAD // by each of them
}

// leastKey is the length of SHA-256, below which a key is the weakest part of HMAC
// (RFC 2104 §3).
const leastKey = sha256.Size

// NewKeys takes keys of at least 32 bytes, which nobody else has.
func NewKeys(keys ...[]byte) (*Keys, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key, expected at least one")
	}
	for _, key := range keys {
		if len(key) < leastKey {
			return nil, fmt.Errorf("a key of %d bytes is too short, expected at least %d", len(key), leastKey)
		}
	}
	k := &Keys{list: keys}
	for _, key := range keys {
		k.sealing = append(k.sealing, sealing(key))
	}
	return k, nil
}

// ErrSigned is why a text isn't taken for a value. It doesn't say more: whoever tries
// texts would learn from it.
var ErrSigned = errors.New("the cookie is none of ours, has been changed, or has expired")

var encoding = base64.RawURLEncoding.Strict() // one text for one value

// Sign returns a text that a cookie of that name may have as its value until it
// expires, which is rounded down to a second.
func (k *Keys) Sign(name string, value []byte, expires time.Time) string {
	until := expires.Unix()
	sum := signature(k.list[0], name, value, until)
	return encoding.EncodeToString(value) + "." + strconv.FormatInt(until, 10) + "." + encoding.EncodeToString(sum)
}

// Verify returns the value of a text that Sign has made for a cookie of that name and
// that hasn't expired, or ErrSigned.
func (k *Keys) Verify(name, text string, now time.Time) (value []byte, err error) {
	payload, rest, _ := strings.Cut(text, ".")
	expiry, mark, _ := strings.Cut(rest, ".")
	value, badValue := encoding.DecodeString(payload)
	sum, badSum := encoding.DecodeString(mark)
	until, badTime := strconv.ParseInt(expiry, 10, 64)
	if badValue != nil || badSum != nil || badTime != nil || strconv.FormatInt(until, 10) != expiry ||
		strings.ContainsAny(text, "\r\n") { // which base64 skips
		return nil, ErrSigned
	}
	signed := false
	for _, key := range k.list {
		signed = hmac.Equal(sum, signature(key, name, value, until)) || signed
	}
	if !signed || now.Unix() >= until {
		return nil, ErrSigned
	}
	return value, nil
}

// signature covers what a text is for: no part of it can be taken for another, and no
// signature that is made elsewhere with the same key for one of a cookie.
func signature(key []byte, name string, value []byte, until int64) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("keystone cookie\x00"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	h.Write([]byte(name))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(until))) //nolint:gosec // G115: eight bytes, whatever the sign
	h.Write(value)
	return h.Sum(nil)
}
