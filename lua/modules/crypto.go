package modules

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // scripts need it for formats of others; the reference warns
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// cryptoMaxRandom bounds crypto.random, in bytes.
const cryptoMaxRandom = 64 << 10

// cryptoHash returns a new hash by its name in Lua, or nil.
func cryptoHash(name string) func() hash.Hash {
	switch name {
	case "md5":
		return md5.New
	case "sha1":
		return sha1.New
	case "sha256":
		return sha256.New
	case "sha512":
		return sha512.New
	}
	return nil
}

// openCrypto makes the crypto module. Where a function takes a form, it says
// how the bytes of the result are written: "hex" (lower case, the default),
// "raw", "base64" or "base64url" (without padding).
//
// crypto.md5(s, form?) -> string: the MD5 digest, broken: not for security.
//
// crypto.sha1(s, form?) -> string: the SHA-1 digest, broken: not for security.
//
// crypto.sha256(s, form?) -> string: the SHA-256 digest.
//
// crypto.sha512(s, form?) -> string: the SHA-512 digest.
//
// crypto.base64_encode(s) -> string: s in Base64 (RFC 4648, section 4), padded.
//
// crypto.base64_decode(s) -> string | nil, message: the bytes; padding may be
// left out.
//
// crypto.base64url_encode(s) -> string: s in Base64 for URLs (section 5),
// without padding.
//
// crypto.base64url_decode(s) -> string | nil, message: the bytes, with or
// without padding.
func openCrypto(L *glua.LState, t *Tenant) *glua.LTable {
	module := L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"hmac": cryptoHMAC, "equal": cryptoEqual,
		"hex_encode": cryptoHexEncode, "hex_decode": cryptoHexDecode,
		"base64_encode":    cryptoEncode(base64.StdEncoding),
		"base64_decode":    cryptoDecode(base64.RawStdEncoding),
		"base64url_encode": cryptoEncode(base64.RawURLEncoding),
		"base64url_decode": cryptoDecode(base64.RawURLEncoding),
		"random":           cryptoRandom(t), "random_hex": cryptoRandomHex(t),
		"uuid": cryptoUUID(t), "uuid7": cryptoUUID7(t),
	})
	for _, name := range []string{"md5", "sha1", "sha256", "sha512"} {
		create := cryptoHash(name)
		module.RawSetString(name, L.NewFunction(func(L *glua.LState) int {
			s, form := vm.CheckString(L, 1), cryptoForm(L, 2)
			h := create()
			cryptoWrite(L, h, s)
			return cryptoPush(L, h.Sum(nil), form)
		}))
	}
	return module
}

// crypto.hmac(algorithm, key, s, form?) -> string: the HMAC (RFC 2104) of s;
// algorithm is "sha256", "sha512", "sha1" or "md5".
func cryptoHMAC(L *glua.LState) int {
	create := cryptoHash(vm.CheckString(L, 1))
	if create == nil {
		vm.ArgError(L, 1, `"sha256", "sha512", "sha1" or "md5" expected`)
	}
	key, s, form := vm.CheckString(L, 2), vm.CheckString(L, 3), cryptoForm(L, 4)
	run := vm.RunOf(L)
	run.Charge(L, 1024)
	run.Spend(L, 50)
	secret := []byte(key[:min(len(key), sha512.BlockSize)])
	if h := create(); len(key) > h.BlockSize() { // as RFC 2104 section 2 has it, but a part at a time
		cryptoWrite(L, h, key)
		secret = h.Sum(nil)
	}
	h := hmac.New(create, secret)
	cryptoWrite(L, h, s)
	return cryptoPush(L, h.Sum(nil), form)
}

// cryptoWrite hashes s, a part at a time.
func cryptoWrite(L *glua.LState, h hash.Hash, s string) {
	run := vm.RunOf(L)
	run.Charge(L, 512)
	run.Spend(L, 10)
	part := make([]byte, min(len(s), 16<<10))
	for s != "" {
		n := copy(part, s)
		_, _ = h.Write(part[:n]) // hashes don't fail
		s = s[n:]
		run.Spend(L, n/8)
	}
}

// cryptoForm is the argument n: how to write bytes.
func cryptoForm(L *glua.LState, n int) string {
	form := vm.OptString(L, n, "hex")
	switch form {
	case "hex", "raw", "base64", "base64url":
	default:
		vm.ArgError(L, n, `"hex", "raw", "base64" or "base64url" expected`)
	}
	return form
}

func cryptoPush(L *glua.LState, b []byte, form string) int {
	vm.RunOf(L).Charge(L, 2*len(b)+16)
	var s string
	switch form {
	case "raw":
		s = string(b)
	case "base64":
		s = base64.StdEncoding.EncodeToString(b)
	case "base64url":
		s = base64.RawURLEncoding.EncodeToString(b)
	default:
		s = hex.EncodeToString(b)
	}
	L.Push(glua.LString(s))
	return 1
}

func cryptoFail(L *glua.LState, message string) int {
	L.Push(glua.LNil)
	L.Push(glua.LString(message))
	return 2
}

// crypto.equal(a, b) -> boolean: whether two strings are equal, in a time that
// tells nothing but their lengths.
func cryptoEqual(L *glua.LState) int {
	a, b := vm.CheckString(L, 1), vm.CheckString(L, 2)
	run := vm.RunOf(L)
	run.Charge(L, 2*conversionPart)
	run.Spend(L, 2)
	equal := subtle.ConstantTimeEq(int32(len(a)), int32(len(b))) //nolint:gosec // strings have 4 MiB at most
	for a != "" && len(a) == len(b) {
		n := min(len(a), conversionPart)
		equal &= subtle.ConstantTimeCompare([]byte(a[:n]), []byte(b[:n]))
		a, b = a[n:], b[n:]
		run.Spend(L, n/8)
	}
	L.Push(glua.LBool(equal == 1))
	return 1
}

// cryptoBytes returns n random bytes.
func cryptoBytes(L *glua.LState, t *Tenant, n int) []byte {
	run := vm.RunOf(L)
	run.Charge(L, n)
	run.Spend(L, 20+n/8)
	b := make([]byte, n)
	if _, err := io.ReadFull(t.Random, b); err != nil {
		L.RaiseError("cannot read random bytes: %s", cause.Text(err))
	}
	return b
}

// cryptoCount is the argument 1: how many random bytes.
func cryptoCount(L *glua.LState) int {
	n := checkNumber(L, 1)
	if !(n >= 0 && n <= cryptoMaxRandom) || n != float64(int(n)) {
		vm.ArgError(L, 1, "an integer from 0 to 65536 expected")
	}
	return int(n)
}

// crypto.random(n) -> string: n bytes (at most 64 KiB) that nobody can guess.
func cryptoRandom(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int { return cryptoPush(L, cryptoBytes(L, t, cryptoCount(L)), "raw") }
}

// crypto.random_hex(n) -> string: n random bytes as 2n hexadecimal digits.
func cryptoRandomHex(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int { return cryptoPush(L, cryptoBytes(L, t, cryptoCount(L)), "hex") }
}

// crypto.uuid() -> string: a random UUID (RFC 9562, version 4).
func cryptoUUID(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int { return cryptoPushUUID(L, cryptoBytes(L, t, 16), 4) }
}

// crypto.uuid7() -> string: a UUID that sorts by the millisecond in which it
// was made, random otherwise (RFC 9562, version 7).
func cryptoUUID7(t *Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		b := cryptoBytes(L, t, 16)
		ms := uint64(max(t.Clock.Now().UnixMilli(), 0))
		binary.BigEndian.PutUint64(b, ms<<16|uint64(b[6])<<8|uint64(b[7]))
		return cryptoPushUUID(L, b, 7)
	}
}

func cryptoPushUUID(L *glua.LState, b []byte, version byte) int {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b)
	vm.RunOf(L).Charge(L, 52)
	L.Push(glua.LString(s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]))
	return 1
}
