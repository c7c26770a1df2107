package cookie

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealing returns what encrypts by a key: XChaCha20-Poly1305, whose nonces are long
// enough to be drawn at random for ever. It has a key of its own, so that nothing that
// is encrypted can be taken for what is signed.
func sealing(key []byte) cipher.AEAD {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("keystone cookie encryption\x00"))
	aead, err := chacha20poly1305.NewX(h.Sum(nil))
	if err != nil {
		panic("BUG: " + err.Error()) // the key has the length that it must have
	}
	return aead
}

// Seal is Sign for values that nobody shall read: it returns a text of which only
// whoever has the keys learns more than about how long the value is. It draws the 24
// bytes of a nonce from random, whose error it returns.
func (k *Keys) Seal(random io.Reader, name string, value []byte, expires time.Time) (string, error) {
	aead := k.sealing[0]
	sealed := make([]byte, aead.NonceSize(), aead.NonceSize()+8+len(value)+aead.Overhead())
	if _, err := io.ReadFull(random, sealed); err != nil {
		return "", fmt.Errorf("cannot read random bytes: %w", err)
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(expires.Unix())) //nolint:gosec // G115: eight bytes, whatever the sign
	plain = append(plain, value...)
	return encoding.EncodeToString(aead.Seal(sealed, sealed, plain, []byte(name))), nil
}

// Open returns the value of a text that Seal has made for a cookie of that name and
// that hasn't expired, or ErrSigned.
func (k *Keys) Open(name, text string, now time.Time) (value []byte, err error) {
	sealed, err := encoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrSigned
	}
	nonce, rest := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	for _, aead := range k.sealing {
		plain, err := aead.Open(nil, nonce, rest, []byte(name))
		if err != nil {
			continue
		}
		if len(plain) < 8 || now.Unix() >= int64(binary.BigEndian.Uint64(plain)) { //nolint:gosec // G115: as Seal has written it
			return nil, ErrSigned
		}
		return plain[8:], nil
	}
	return nil, ErrSigned
}
