package basicauth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// hash is that of a password, made so that comparing takes long: some milliseconds to a
// second of a processor's time.
type hash interface {
	matches(password []byte) bool
	// large says that comparing takes megabytes of memory.
	large() bool
}

// Bounds of what one comparison costs.
const (
	maxCost    = 14        // of bcrypt: a second
	maxMemory  = 64 << 10  // of argon2id, in KiB
	maxPasses  = 10        //
	maxThreads = 16        //
	maxWork    = 256 << 10 // KiB times passes: half a second
)

var errNoHash = errors.New("this is no hash that can be used, expected bcrypt ($2y$…, which htpasswd -B makes) or argon2id ($argon2id$v=19$…)")

// weak are hashes that others accept.
var weak = []struct{ prefix, why string }{
	{"$apr1$", "MD5 (apr1, what htpasswd makes unasked) is guessed by the million a second"},
	{"$1$", "MD5 (md5crypt) is guessed by the million a second"},
	{"{SHA}", "SHA-1 without salt is guessed by the billion a second"},
	{"{SSHA}", "SHA-1 is guessed by the billion a second"},
	{"$5$", "sha256crypt isn't supported"},
	{"$6$", "sha512crypt isn't supported"},
	{"$y$", "yescrypt isn't supported"},
	{"$7$", "scrypt isn't supported"},
	{"$2x$", "this is what a faulty bcrypt has made ($2x$)"},
	{"$argon2i$", "argon2i isn't supported"},
	{"$argon2d$", "argon2d isn't supported"},
}

// parseHash reads a hash as a text. Its error doesn't quote it.
func parseHash(text string) (hash, error) {
	for _, w := range weak {
		if strings.HasPrefix(text, w.prefix) {
			return nil, fmt.Errorf("%s, expected bcrypt ($2y$…, which htpasswd -B makes) or argon2id ($argon2id$v=19$…)", w.why)
		}
	}
	switch {
	case strings.HasPrefix(text, "$2"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	}
	return nil, errNoHash
}

// bcryptHash is its text.
type bcryptHash []byte

const bcryptDigits = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func parseBcrypt(text string) (hash, error) {
	version, rest, _ := strings.Cut(text[1:], "$")
	digits, encoded, _ := strings.Cut(rest, "$")
	cost, err := strconv.Atoi(digits)
	if (version != "2a" && version != "2b" && version != "2y") || len(digits) != 2 || err != nil || len(encoded) != 53 || strings.Trim(encoded, bcryptDigits) != "" {
		return nil, errors.New("this begins like bcrypt and isn't, expected $2y$, two digits, $ and 53 letters")
	}
	if cost < bcrypt.MinCost || cost > maxCost {
		return nil, fmt.Errorf("bcrypt of cost %d is out of range, expected %d to %d, for one comparison takes a second at %d", cost, bcrypt.MinCost, maxCost, maxCost)
	}
	return bcryptHash(text), nil
}

func (h bcryptHash) matches(password []byte) bool {
	return bcrypt.CompareHashAndPassword(h, password) == nil
}

func (h bcryptHash) large() bool { return false }

// argonHash is argon2id of version 19 (RFC 9106).
type argonHash struct {
	salt, sum    []byte
	memory, time uint32
	threads      uint8
}

func parseArgon(text string) (hash, error) {
	parts := strings.Split(text, "$") // "", argon2id, v=19, m=…,t=…,p=…, salt, sum
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, errors.New("this begins like argon2id and isn't, expected $argon2id$v=19$m=…,t=…,p=…$SALT$HASH")
	}
	var numbers [3]uint64
	keys := strings.Split(parts[3], ",")
	for i, key := range []string{"m", "t", "p"} {
		if len(keys) != len(numbers) {
			return nil, fmt.Errorf("argon2id with the parameters %.40q, expected m=…,t=…,p=…", parts[3])
		}
		name, value, _ := strings.Cut(keys[i], "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if name != key || err != nil {
			return nil, fmt.Errorf("argon2id with the parameters %.40q, expected m=…,t=…,p=…", parts[3])
		}
		numbers[i] = n
	}
	m, t, p := numbers[0], numbers[1], numbers[2]
	if t < 1 || t > maxPasses || p < 1 || p > maxThreads || m < 8*p || m > maxMemory || m*t > maxWork {
		return nil, fmt.Errorf("argon2id with %s is out of range, expected m from 8 times p to %d (KiB), t from 1 to %d, p from 1 to %d, and m times t up to %d", parts[3], maxMemory, maxPasses, maxThreads, maxWork)
	}
	salt, badSalt := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	sum, badSum := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if badSalt != nil || badSum != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return nil, errors.New("argon2id without salt and hash, expected 8 to 64 and 16 to 64 bytes in base64")
	}
	return &argonHash{salt, sum, uint32(m), uint32(t), uint8(p)}, nil
}

func (h *argonHash) matches(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.sum))) //nolint:gosec // G115: at most 64
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

func (h *argonHash) large() bool { return true }
