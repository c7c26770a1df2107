package modules

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// conversionPart is how much of a string is converted at a time, so that a run
// can be ended, and the collector needn't wait, between parts. It is whole
// groups of Base64, of bytes (3) as of letters (4).
const conversionPart = 12 << 10

// cryptoConvert makes a string of at most size bytes of s, a part at a time;
// convert appends what becomes of one.
func cryptoConvert(L *glua.LState, s string, size int, convert func(dst, part []byte) ([]byte, error)) (string, error) {
	run := vm.RunOf(L)
	run.CheckString(L, size)
	run.Charge(L, size+3*min(len(s), conversionPart))
	run.Spend(L, 2)
	var out strings.Builder
	out.Grow(size)
	part := make([]byte, min(len(s), conversionPart))
	var converted []byte
	for from := 0; from < len(s); from += len(part) {
		part = part[:copy(part, s[from:])]
		var err error
		if converted, err = convert(converted[:0], part); err != nil {
			return "", misplaced(err, from)
		}
		out.Write(converted)
		run.Spend(L, 1+len(part)/8)
	}
	return out.String(), nil
}

// misplaced is an error about a part that begins there.
func misplaced(err error, from int) error {
	var at base64.CorruptInputError
	if errors.As(err, &at) {
		return at + base64.CorruptInputError(from)
	}
	return err
}

func cryptoEncode(encoding *base64.Encoding) glua.LGFunction {
	return func(L *glua.LState) int {
		s := vm.CheckString(L, 1)
		encoded, _ := cryptoConvert(L, s, encoding.EncodedLen(len(s)), func(dst, part []byte) ([]byte, error) {
			return encoding.AppendEncode(dst, part), nil
		})
		L.Push(glua.LString(encoded))
		return 1
	}
}

var errLineBreak = errors.New("a line break")

// cryptoDecode accepts any padding that is complete, and no line breaks.
func cryptoDecode(raw *base64.Encoding) glua.LGFunction {
	return func(L *glua.LState) int {
		s := vm.CheckString(L, 1)
		unpadded := strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
		if unpadded != s && len(s)%4 != 0 || strings.HasSuffix(unpadded, "=") {
			return cryptoFail(L, "invalid base64: wrong padding")
		}
		decoded, err := cryptoConvert(L, unpadded, raw.DecodedLen(len(unpadded)), func(dst, part []byte) ([]byte, error) {
			if bytes.IndexByte(part, '\r') >= 0 || bytes.IndexByte(part, '\n') >= 0 { // the library passes over them
				return nil, errLineBreak
			}
			return raw.AppendDecode(dst, part)
		})
		if err != nil {
			return cryptoFail(L, "invalid base64: "+strings.TrimPrefix(err.Error(), "illegal base64 data "))
		}
		L.Push(glua.LString(decoded))
		return 1
	}
}

// crypto.hex_encode(s) -> string: two lower-case digits for each byte.
func cryptoHexEncode(L *glua.LState) int {
	s := vm.CheckString(L, 1)
	encoded, _ := cryptoConvert(L, s, 2*len(s), func(dst, part []byte) ([]byte, error) {
		return hex.AppendEncode(dst, part), nil
	})
	L.Push(glua.LString(encoded))
	return 1
}

// crypto.hex_decode(s) -> string | nil, message: the bytes of hexadecimal
// digits in either case.
func cryptoHexDecode(L *glua.LState) int {
	s := vm.CheckString(L, 1)
	decoded, err := cryptoConvert(L, s, len(s)/2, hex.AppendDecode)
	if err != nil {
		return cryptoFail(L, "invalid hexadecimal: "+cause.Text(err))
	}
	L.Push(glua.LString(decoded))
	return 1
}
