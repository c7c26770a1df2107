package modules_test

import (
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func luaString(s string) glua.LValue { return glua.LString(s) }

func TestCrypto(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`return crypto.md5("abc")`, "900150983cd24fb0d6963f7d28e17f72"},
		{`return crypto.sha1("abc")`, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{`return crypto.sha256("abc"), crypto.sha256("abc", "base64")`,
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="},
		{`return crypto.sha256("abc", "base64url"), #crypto.sha512("", "raw"), crypto.sha512("abc"):sub(1, 8)`,
			"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0 64 ddaf35a1"},
		{`return crypto.sha256(("a"):rep(1000000))`, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
		{`return crypto.hmac("sha256", "key", "The quick brown fox jumps over the lazy dog")`,
			"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"},
		{`return crypto.hmac("sha3", "k", "s")`, "error: bad argument #1"},
		{`return crypto.sha256("a", "binary")`, "error: bad argument #2"},
		{`return crypto.sha256({})`, "error: bad argument #1"},
		{`return crypto.base64_encode("\255\254a"), crypto.base64url_encode("\255\254a\0")`, "//5h __5hAA"},
		{`return crypto.base64_decode("YQ=="), crypto.base64_decode("YQ"), crypto.base64url_decode("__5hAA=="):byte(1, 4)`, "a a 255 254 97 0"},
		{`return crypto.base64_decode("YQ=")`, "nil invalid base64: wrong padding"},
		{`return crypto.base64_decode("====")`, "nil invalid base64: wrong padding"},
		{`return crypto.base64_decode("Y=Q=")`, "nil invalid base64: at input byte 1"},
		{`return crypto.base64_decode("YW\nJj")`, "nil invalid base64: a line break"},
		{`local s = ("abc"):rep(20000) return crypto.base64_decode(crypto.base64_encode(s .. "d")) == s .. "d", crypto.base64url_decode(crypto.base64url_encode(s)) == s`, "true true"},
		{`local s = ("abc"):rep(20000) return crypto.hex_decode(crypto.hex_encode(s .. "d")) == s .. "d", crypto.equal(s, s), crypto.equal(s .. "a", s .. "b"), crypto.equal(s, s .. "b")`, "true true false false"},
		{`return crypto.base64_decode(("YWJj"):rep(20000) .. "Y!==")`, "nil invalid base64: at input byte 80001"},
		{`return crypto.hmac("sha256", ("k"):rep(100000), "s") == crypto.hmac("sha256", crypto.sha256(("k"):rep(100000), "raw"), "s")`, "true"},
		{`return crypto.base64_decode("_w")`, "nil invalid base64: at input byte 0"},
		{`return crypto.hex_encode("\0aZ"), crypto.hex_decode("0061Aa"):byte(1, 3)`, "00615a 0 97 170"},
		{`return crypto.hex_decode("0")`, "nil invalid hexadecimal: it has an odd number of hexadecimal digits"},
		{`return crypto.hex_decode("zz")`, "nil invalid hexadecimal: 'z' is not a hexadecimal digit"},
		{`return crypto.equal("a", "a"), crypto.equal("a", "b"), crypto.equal("a", "ab")`, "true false false"},
		{`return #crypto.random(33), #crypto.random(0), #crypto.random_hex(4), crypto.random(16) == crypto.random(16)`, "33 0 8 false"},
		{`return crypto.random(-1)`, "error: from 0 to 65536"},
		{`return crypto.random(0/0)`, "error: from 0 to 65536"},
		{`return crypto.random(1.5)`, "error: from 0 to 65536"},
		{`return crypto.random(65537)`, "error: from 0 to 65536"},
		{`return #re.match(crypto.uuid(), "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")`, "36"},
		// The milliseconds of the test's clock, 1700000000250.
		{`return #re.match(crypto.uuid7(), "^018bcfe5-68fa-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"), crypto.uuid7() == crypto.uuid7()`, "36 false"},
	})
}

func TestCryptoLimits(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, &vm.Limits{Instructions: 1_000_000, Memory: 64 << 20})
	err := v.L.DoString(`local s = ("a"):rep(1000000) for i = 1, 1000 do crypto.sha256(s) end`)
	if err == nil || v.run.Exhausted() == nil || v.run.Exhausted().Reason != vm.OutOfInstructions {
		t.Errorf("error %v, exhausted %v", err, v.run.Exhausted())
	}
}
