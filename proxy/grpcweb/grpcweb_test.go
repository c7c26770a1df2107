package grpcweb_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/grpcweb"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	for media, want := range map[string]struct {
		encoding grpcweb.Encoding
		format   string
	}{
		"application/grpc-web":                     {grpcweb.Binary, ""},
		"application/grpc-web+proto":               {grpcweb.Binary, "+proto"},
		"Application/GRPC-Web+proto":               {grpcweb.Binary, "+proto"},
		"application/grpc-web; charset=utf-8":      {grpcweb.Binary, "; charset=utf-8"},
		"application/grpc-web-text":                {grpcweb.Text, ""},
		"application/grpc-web-TEXT+json;q=1":       {grpcweb.Text, "+json;q=1"},
		"application/grpc-web ; charset=utf-8":     {grpcweb.Binary, " ; charset=utf-8"},
		"application/grpc-web-textual":             {},
		"application/json-web+proto":               {},
		"application/grpc-webs":                    {},
		"application/grpc":                         {},
		"application/grpc+proto":                   {},
		"text/plain; or=application/grpc-web+json": {},
		"": {},
	} {
		encoding, format := grpcweb.ParseType([]byte(media))
		if encoding != want.encoding || string(format) != want.format {
			t.Errorf("%q is %v with %q, want %v", media, encoding, format, want)
		}
		if encoding == grpcweb.None {
			continue
		}
		if again := grpcweb.AppendType(nil, encoding, format); !strings.EqualFold(string(again), media) {
			t.Errorf("%q becomes %q", media, again)
		}
	}
}

// decode decodes text that comes in parts of so many characters.
func decode(text []byte, part, room int) ([]byte, error) {
	var d grpcweb.Decoder
	var out []byte
	dst := make([]byte, room)
	for len(text) > 0 {
		come := text[:min(part, len(text))]
		text = text[len(come):]
		for len(come) > 0 {
			n, read, err := d.Decode(dst, come)
			out = append(out, dst[:n]...)
			if err != nil {
				return out, err
			}
			if n == 0 && read == 0 {
				return out, errors.New("it takes nothing")
			}
			come = come[read:]
		}
	}
	if !d.Whole() {
		return out, grpcweb.ErrPartial
	}
	return out, nil
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                 "",
		"AAAAAAA=":         "\x00\x00\x00\x00\x00",
		"YQ==YmM=ZGVmZw==": "abcdefg", // parts with their own padding
		"YWJjZGVm":         "abcdef",
		"+/+/":             "\xfb\xff\xbf",
		"YW":               "partial",
		"YQ=":              "partial",
		"YQ=x":             "wrong",
		"=QAA":             "wrong",
		"Y===":             "wrong",
		"YWJj ":            "wrong",
		"YWJj\r\n":         "wrong",
		"YWJ-":             "wrong", // of base64 for URLs
		"AAAA====":         "wrong",
	} {
		for _, part := range []int{1, 2, 3, 5, 100} {
			got, err := decode([]byte(text), part, 3+part%3)
			switch {
			case err == grpcweb.ErrBase64:
				got = []byte("wrong")
			case err == grpcweb.ErrPartial:
				got = []byte("partial")
			case err != nil:
				t.Errorf("%q in parts of %d: %v", text, part, err)
			}
			if string(got) != want {
				t.Errorf("%q in parts of %d becomes %q, want %q", text, part, got, want)
			}
		}
	}
}

// message is one of gRPC.
func message(content string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(content))) // #nosec G115 -- it is short
	return append(m, content...)
}

func status(yield func(name, value []byte) bool) {
	_ = yield([]byte("Grpc-Status"), []byte("0")) && yield([]byte("x-Zoe"), []byte("A: b"))
}

// TestEncode: each message can be decoded when it has come, however it has come, and the
// trailers come behind the last one.
func TestEncode(t *testing.T) {
	t.Parallel()
	messages := [][]byte{message("a"), message(""), message("abcd"), message(strings.Repeat("xy", 5000))}
	all := bytes.Join(messages, nil)
	trailer := "\x80\x00\x00\x00\x1d" + "grpc-status: 0\r\nx-zoe: A: b\r\n"
	for _, part := range []int{1, 2, 3, 4, 7, 1000, 1 << 20} {
		for _, encoding := range []grpcweb.Encoding{grpcweb.Binary, grpcweb.Text} {
			e := grpcweb.Encoder{Encoding: encoding}
			var out []byte
			ends := map[int]bool{} // where a message has ended
			for come, at := all, 0; len(come) > 0; {
				n := min(part, len(come))
				before := len(out)
				var err error
				if out, err = e.Append(out, come[:n]); err != nil {
					t.Fatal(err)
				}
				if most := n*8/5 + 8; len(out)-before > most {
					t.Errorf("%d bytes become %d, want at most %d", n, len(out)-before, most)
				}
				at, come = at+n, come[n:]
				ends[at] = e.Whole()
				if got := out; e.Whole() {
					if encoding == grpcweb.Text {
						got, err = decode(out, len(out)+1, len(out)+3)
					}
					if err != nil || !bytes.Equal(got, all[:at]) {
						t.Errorf("in parts of %d, the first %d bytes are there as %d: %v", part, at, len(got), err)
					}
				}
			}
			for i, at := 0, 0; part == 1 && i < len(messages); i++ {
				if at += len(messages[i]); !ends[at] {
					t.Errorf("message %d ends unnoticed", i)
				}
			}
			out, err := e.AppendTrailer(out, status)
			if encoding == grpcweb.Text && err == nil {
				out, err = decode(out, 3, 100)
			}
			if err != nil || string(out) != string(all)+trailer {
				t.Errorf("in parts of %d: it ends with %q, %v", part, out[len(all):], err)
			}
		}
	}
}

// TestNoTrailerInside: a target can't say what only the gateway says, and what is cut
// within a message has no trailers.
func TestNoTrailerInside(t *testing.T) {
	t.Parallel()
	for _, encoding := range []grpcweb.Encoding{grpcweb.Binary, grpcweb.Text} {
		e := grpcweb.Encoder{Encoding: encoding}
		out, err := e.Append([]byte("AAAA"), append(message("abc"), 0x80, 0, 0, 0, 0))
		before := "AAAA" + string(message("abc"))
		if encoding == grpcweb.Text {
			before = "AAAA" + base64.StdEncoding.EncodeToString(message("abc"))
		}
		if !errors.Is(err, grpcweb.ErrTrailer) || string(out) != before {
			t.Errorf("a frame of trailers passes: %q, %v", out, err)
		}
		good, err := (&grpcweb.Encoder{}).Follow(append(message("abc"), 0x81, 0))
		if !errors.Is(err, grpcweb.ErrTrailer) || !bytes.Equal(good, message("abc")) {
			t.Errorf("a frame of trailers passes: %q, %v", good, err)
		}
		for _, n := range []int{1, 5, 7} {
			e = grpcweb.Encoder{Encoding: encoding}
			if _, err := e.Append(nil, message("abc")[:n]); err != nil || e.Whole() {
				t.Errorf("%v, whole: %t", err, e.Whole())
			}
			if _, err := e.AppendTrailer(nil, status); !errors.Is(err, grpcweb.ErrPartial) {
				t.Errorf("after %d bytes of a message there may be trailers: %v", n, err)
			}
		}
	}
}

// FuzzDecode: text is decoded as Go's does it, part by part.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("YQ==YmM=ZGVm"), uint8(3))
	f.Add([]byte("AAAAAAMKAW"), uint8(1))
	f.Add([]byte("YQ=x"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, part uint8) {
		got, err := decode(text, int(part)+1, 3+int(part))
		var want []byte
		rest, wrong := text, error(nil)
		for len(rest) > 0 && wrong == nil {
			var group []byte
			if len(rest) < 4 {
				wrong = grpcweb.ErrPartial
			} else if group, wrong = base64.StdEncoding.DecodeString(string(rest[:4])); wrong == nil && bytes.ContainsAny(rest[:4], "\r\n") {
				wrong = grpcweb.ErrBase64
			}
			want, rest = append(want, group...), rest[min(4, len(rest)):]
		}
		if (err == nil) != (wrong == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q becomes %q, %v, want %q, %v", text, got, err, want, wrong)
		}
	})
}

// FuzzEncode: what is encoded is what came, whatever that is.
func FuzzEncode(f *testing.F) {
	f.Add(append(message("abc"), message("")...), uint8(2))
	f.Add(append(message("abc"), 0x80), uint8(0))
	f.Fuzz(func(t *testing.T, content []byte, part uint8) {
		e := grpcweb.Encoder{Encoding: grpcweb.Text}
		var text []byte
		var err error
		for rest := content; len(rest) > 0 && err == nil; rest = rest[min(int(part)+1, len(rest)):] {
			text, err = e.Append(text, rest[:min(int(part)+1, len(rest))])
		}
		if _, follows := (&grpcweb.Encoder{}).Follow(content); !errors.Is(follows, err) {
			t.Errorf("text: %v, binary: %v", err, follows)
		}
		got, wrong := decode(text, 1000, 1000)
		if wrong != nil || !bytes.HasPrefix(content, got) || err == nil && len(content)-len(got) > 2 || e.Whole() && err == nil && len(got) != len(content) {
			t.Errorf("%q becomes %q: %v", content, got, wrong)
		}
	})
}
