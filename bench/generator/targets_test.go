package generator_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
)

func TestReadTargets(t *testing.T) {
	t.Parallel()
	const file = `
# the shop
/list?page=1
POST /cart host=shop.example weight=3
  HEAD https://other.example:8443/x weight=10000
http://plain.example
`
	got, err := generator.ReadTargets(strings.NewReader(file), "file", parse(t, "http://127.0.0.1:8080/ignored"), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		" http://127.0.0.1:8080/list?page=1 host= weight=0",
		"POST http://127.0.0.1:8080/cart host=shop.example weight=3",
		"HEAD https://other.example:8443/x host= weight=10000",
		" http://plain.example host= weight=0",
	}
	if len(got) != len(want) {
		t.Fatalf("got %d targets, want %d", len(got), len(want))
	}
	for i, target := range got {
		if text := fmt.Sprintf("%s %v host=%s weight=%d", target.Method, target.URL, target.Host, target.Weight); text != want[i] {
			t.Errorf("target %d is %q, want %q", i, text, want[i])
		}
	}
}

func TestReadTargetsErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ line, want string }{
		{"", "file: expected at least one target"},
		{"GET", `file:2: expected a URL or a path after "GET"`},
		{"/a", "file:2: \"/a\" is a path"},
		{"GE(T http://a/", `file:2: URL "GE(T": the scheme is missing`},
		{"http://a/ wait=1", `file:2: unexpected "wait=1"`},
		{"http://a/ weight=0", "file:2: weight=0: expected 1 to 10000"},
		{"http://a/ weight=x", "file:2: weight=x: expected 1 to 10000"},
		{"http://a/ host=", "file:2: host= is empty"},
		{"http://a/ host=b\x01", `file:2: host "b\x01"`},
		{"http://a/ host=b/c", `file:2: host "b/c"`},
		{"CONNECT http://a/", "file:2: method CONNECT"},
		{"ftp://a/", "expected http:// or https://"},
		{"http:///a", "the host is missing"},
		{"http://a:0/", "expected a port"},
		{"http://a:65536/", "expected a port"},
		{"http://me@a/", "expected no user name"},
		{"http://a/#b", "expected no fragment"},
		{"http://a/b|c", "expected characters that paths may have"},
		{"http://a/%zz", "cannot read the URL"},
		{"http://a/é", "expected ASCII"},
		{"http://a/" + strings.Repeat("x", 70_000), "file:2: expected a line of at most 65536 bytes"},
	} {
		_, err := generator.ReadTargets(strings.NewReader("# comment\n"+test.line+"\n"), "file", nil, "")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40q: got error %v, want %q", test.line, err, test.want)
		}
	}
}

func TestParseField(t *testing.T) {
	t.Parallel()
	if f, err := generator.ParseField(" X-A :  b: c "); err != nil || f.Name != "X-A" || f.Value != "b: c" {
		t.Errorf("got %+v, %v", f, err)
	}
	for text, want := range map[string]string{
		"X-A":                  "expected 'Name: value'",
		": b":                  "the name",
		"X A: b":               "the name",
		"X-A: b\r\nX-B: c":     "control characters",
		"Connection: close":    "-keepalive=false",
		"Content-Length: 5":    "framing",
		"transfer-encoding: x": "framing",
	} {
		if _, err := generator.ParseField(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", text, err, want)
		}
	}
}

// FuzzReadTargets demands that what is accepted can be sent: neither line ends
// nor spaces get into a request.
func FuzzReadTargets(f *testing.F) {
	f.Add("POST /a?b host=c weight=3\nhttp://[::1]:80/%2F..\n#x")
	f.Fuzz(func(t *testing.T, text string) {
		base := parse(t, "http://127.0.0.1:8080/")
		targets, err := generator.ReadTargets(strings.NewReader(text), "file", base, "")
		if err != nil {
			return
		}
		for _, target := range targets {
			all := target.Method + target.URL.RequestURI() + target.URL.Host + target.Host
			if strings.ContainsFunc(all, func(r rune) bool { return r <= ' ' || r == 0x7f }) || target.URL.Host == "" {
				t.Errorf("%q was accepted as %+v", text, target)
			}
		}
	})
}

// FuzzReadResponse demands that reading ends, and yields a status or an error.
func FuzzReadResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", false)
	f.Add("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true)
	f.Fuzz(func(t *testing.T, text string, noBody bool) {
		status, reusable, err := generator.ReadResponse(strings.NewReader(text), noBody)
		if err == nil && (status < 101 || status > 999) || err != nil && reusable {
			t.Errorf("got status %d, reusable %t, error %v", status, reusable, err)
		}
	})
}
