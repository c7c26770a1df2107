package http3_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/quic-go/qpack"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// other decodes with another one's decoder, which is the measure.
func other(section []byte) (list []string, err error) {
	next := qpack.NewDecoder().Decode(section)
	for {
		field, err := next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, field.Name, field.Value)
	}
}

func own(section []byte) ([]string, bool) {
	var decoder http3.Decoder
	var block http2.Block
	block.Reset(1 << 20)
	ok := decoder.Decode(section, &block)
	var list []string
	for i := range block.Len() {
		list = append(list, string(block.Name(i)), string(block.Value(i)))
	}
	return list, ok
}

// TestSections: what another one encodes is decoded, and the other way round: all fields
// of the static table, and others.
func TestSections(t *testing.T) {
	var table []string
	for i := range 99 {
		one, err := other(append([]byte{0, 0}, indexed(i)...))
		if err != nil {
			t.Fatal(i, err)
		}
		if got, ok := own(append([]byte{0, 0}, indexed(i)...)); !ok || !slices.Equal(got, one) {
			t.Errorf("entry %d: %q, want %q", i, got, one)
		}
		table = append(table, one...)
	}
	if _, ok := own(append([]byte{0, 0}, indexed(99)...)); ok {
		t.Error("there is an entry 99")
	}
	table = append(table, "x-own", "1", "cookie", "a=b", "accept", "", "x", strings.Repeat("long ", 1000))
	var encoded bytes.Buffer
	encoder := qpack.NewEncoder(&encoded)
	for i := 0; i < len(table); i += 2 {
		_ = encoder.WriteField(qpack.HeaderField{Name: table[i], Value: table[i+1]})
	}
	if got, ok := own(encoded.Bytes()); !ok || !slices.Equal(got, table) {
		t.Errorf("decoded: %q", got)
	}
	for status := 100; status < 600; status++ {
		r := &message.Response{Status: status, Message: message.Message{Length: message.Unsized}}
		want := []string{":status", string(rune('0'+status/100)) + string(rune('0'+status/10%10)) + string(rune('0'+status%10))}
		for i := 0; i < len(table); i += 2 {
			if !strings.HasPrefix(table[i], ":") {
				r.Header = append(r.Header, message.Field{Name: []byte(strings.ToUpper(table[i])), Value: []byte(table[i+1])})
				want = append(want, table[i], table[i+1])
			}
		}
		got, err := other(http3.AppendResponse(nil, r))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("encoded: %q %v", got, err)
		}
	}
}

// indexed refers to an entry of the static table.
func indexed(i int) []byte {
	if i < 63 {
		return []byte{0xc0 | byte(i)}
	}
	return []byte{0xff, byte(i - 63)}
}

// TestSettings: which are no good.
func TestSettings(t *testing.T) {
	many := []http3.Setting{}
	for i := range uint64(65) {
		many = append(many, http3.Setting{ID: 0x40 + i, Value: i})
	}
	for name, c := range map[string]struct {
		list []http3.Setting
		want string
	}{
		"usual":     {[]http3.Setting{{1, 0}, {6, 16384}, {7, 100}, {8, 1}, {0x33, 1}, {0x4d44, 1}}, ""},
		"HTTP/2's":  {[]http3.Setting{{4, 65535}}, "H3_SETTINGS_ERROR"},
		"twice":     {[]http3.Setting{{6, 1}, {7, 1}, {6, 1}}, "H3_SETTINGS_ERROR"},
		"no switch": {[]http3.Setting{{8, 2}}, "H3_SETTINGS_ERROR"},
		"too many":  {many, "H3_EXCESSIVE_LOAD"},
	} {
		all := http3.AppendSettings(nil, c.list...)
		_, length, n := http3.ParseFrame(all)
		if int(length) != len(all)-n { // #nosec G115 -- it is short
			t.Fatal("the frame is not as long as it says")
		}
		got := ""
		if wrong, ok := errors.AsType[*http3.ConnError](http3.CheckSettings(all[n:])); ok {
			got = wrong.Code.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// FuzzSection: any bytes are decoded as another one decodes them, or refused by both; and
// what is decoded, and judged as a request, has nothing in it that HTTP/1 would take for
// something else.
func FuzzSection(f *testing.F) {
	f.Add([]byte{0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, 'a'})
	f.Add([]byte{0, 0, 0x5f, 0x50, 0x82, 0x1d, 0x75, 0x27, 0, 0x2f, 1, 'x', 0x80})
	f.Fuzz(func(t *testing.T, section []byte) {
		got, ok := own(section)
		want, err := other(section)
		if ok && err == nil && !slices.Equal(got, want) && len(want)/2 <= message.MaxFields {
			t.Fatalf("%q, want %q", got, want)
		}
		if ok != (err == nil) && (len(section) < 2 || section[1] == 0) { // a base that nothing refers to is ours to ignore
			t.Fatalf("decoded: %v, the other one: %v", ok, err)
		}
		var decoder http3.Decoder
		var block http2.Block
		block.Reset(4 << 10)
		var request http2.Request
		if !decoder.Decode(section, &block) || request.Parse(&block, http2.Asked{MaxTarget: 1 << 10, Version: http3.Version, Plain: true}) != nil {
			return
		}
		if request.Protocol != nil || request.Version != "3.0" {
			t.Fatalf("%+v", request)
		}
		for _, field := range request.Header {
			if bytes.ContainsAny(field.Name, "\r\n\x00: ") || bytes.ContainsAny(field.Value, "\r\n\x00") {
				t.Fatalf("%q: %q", field.Name, field.Value)
			}
		}
	})
}

// FuzzFrame: heads of frames and settings are read as they are written.
func FuzzFrame(f *testing.F) {
	f.Add(http3.AppendSettings(nil, http3.Setting{ID: 6, Value: 1}))
	f.Add([]byte{0xc0, 0, 0, 0, 0, 0, 0, 0, 0x40})
	f.Fuzz(func(t *testing.T, p []byte) {
		kind, length, n := http3.ParseFrame(p)
		if n > len(p) || n > http3.MaxFrameHead || n < 0 {
			t.Fatalf("%d of %d", n, len(p))
		}
		if n > 0 && length < 1<<40 {
			again := http3.AppendFrameHead(nil, kind, int(length))
			if k, l, m := http3.ParseFrame(again); k != kind || l != length || m != len(again) || m > n {
				t.Fatalf("%x is read as %d %d", again, k, l)
			}
		}
		_ = http3.CheckSettings(p)
	})
}
