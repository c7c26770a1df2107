package cause_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// libraryWords are what no text for people may have.
var libraryWords = []string{
	"tls:", "x509:", "http: ", "dial tcp", "dial unix", "listen tcp", "listen unix", "read tcp", "write tcp", "openat", "lstat", "open /",
	"connect:", "bind:", "i/o timeout", "deadline exceeded", "EOF", "closed network connection", "strconv", "json:", "encoding/",
	"parsing", "asn1", "syscall", "fasthttp", "goccy", "net/", "no such host", "lookup ", "epoll",
}

// TestText makes errors of the system and of libraries as they come about, bare
// and wrapped, and demands words of ours, what is said and to whom.
func TestText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closed := port.Reserve(t)
	for name, test := range map[string]struct {
		err  error
		want string // a part
	}{
		"refused":      {dial("tcp", closed), closed + " refused the connection: nothing listens there"},
		"no socket":    {dial("unix", filepath.Join(dir, "none.sock")), "there is no socket " + filepath.Join(dir, "none.sock")},
		"in use":       {listenTwice(t), "is in use: another process listens there"},
		"not ours":     {listen("192.0.2.1:0"), "is no address of this machine"},
		"no file":      {open(filepath.Join(dir, "none")), "none\": there is no such file"},
		"a directory":  {read(dir), "it is a directory"},
		"no directory": {open(filepath.Join(here(t), "cause_test.go", "x")), "a part of its path is no directory"},
		"deadline":     {context.DeadlineExceeded, "it took too long"},
		"time-out":     {timedOut(t), "it took too long"},
		"closed":       {closedHere(t), "the connection was closed on this side"},
		"EOF":          {io.EOF, "the other side has closed the connection"},
		"early EOF":    {io.ErrUnexpectedEOF, "it ended too early"},
		"no name":      {&net.DNSError{Err: "no such host", Name: "x.invalid", IsNotFound: true}, `there is no address for the name "x.invalid"`},
		"slow name":    {&net.DNSError{Err: "i/o timeout", Name: "x.invalid", IsTimeout: true}, "didn't answer in time"},
		"untrusted":    {handshake(t, &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS12}), "signed by an authority that isn't known here"},
		"other name":   {otherName(t), `its certificate is for example.com, *.example.com, 127.0.0.1, ::1, not for "other.test"`},
		"HTTP":         {plain(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP without TLS was spoken"},
		"noise":        {plain(t, "\x00\x01\x02\x03\x04\x05\x06"), "something else than TLS was spoken"},
		"no key pair":  {keyPair("-", "-"), "has no PEM block in it"},
		"JSON":         {json.Unmarshal([]byte("{"), new(any)), "the JSON ends too early"},
		"bad JSON":     {json.Unmarshal([]byte("{x"), new(any)), "not JSON at byte"},
		"JSON type":    {json.Unmarshal([]byte(`{"a":1}`), new(map[string]string)), "the JSON has a number"},
		"base64":       {decode64("*"), "not base64 at byte 0"},
		"hex":          {decodeHex("zz"), `'z' is not a hexadecimal digit`},
		"number":       {number("9x"), `"9x" is not a number`},
		"address":      {address("::zz"), ""},
		"pattern":      {pattern("a(b"), "a ( without its )"},
		"URL":          {parseURL("http://a b/"), ""},
		"bad escape":   {parseURL("http://a/%zz"), `"%zz" is not an escape`},
		"gzip":         {inflate("no gzip, and nothing like it"), "the content is not gzip"},
		"https client": {get(t, "https"), "the server speaks HTTP without TLS"},
		"broken":       {fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", errors.New(`malformed HTTP response "x"`)), "the server's answer is not HTTP"},
		"unasked":      {errors.New("readLoopPeekFailLocked: %!w(<nil>)"), "without having been asked"},
		"http client":  {get(t, "http"), "the server's answer is not HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.err == nil {
				t.Fatal("there is no error to word")
			}
			for _, err := range []error{
				test.err, fmt.Errorf("cannot do it: %w", test.err), errors.Join(errors.New("first"), test.err),
				fmt.Errorf("a: %w", fmt.Errorf("b: %w", test.err)), cause.Of(test.err), fmt.Errorf("x: %w", cause.Of(test.err)),
			} {
				text := cause.Text(err)
				if !strings.Contains(text, test.want) {
					t.Errorf("Text(%q) = %q, expected %q in it", err, text, test.want)
				}
				for _, word := range libraryWords {
					if strings.Contains(text, word) {
						t.Errorf("Text(%q) = %q has a library's word, %q", err, text, word)
					}
				}
			}
			if !errors.Is(cause.Of(test.err), test.err) {
				t.Errorf("Of(%v) doesn't unwrap to it", test.err)
			}
		})
	}
}

// TestTextOfOurs leaves the gateway's own texts as they are.
func TestTextOfOurs(t *testing.T) {
	t.Parallel()
	if got := cause.Text(nil); got != "" || cause.Of(nil) != nil {
		t.Errorf("Text(nil) = %q", got)
	}
	for _, err := range []error{errors.New("the target's answer is malformed"), fmt.Errorf("x: %w", errors.New("y"))} {
		if got := cause.Text(err); got != err.Error() {
			t.Errorf("Text(%q) = %q", err, got)
		}
	}
}

// TestPlainHTTP tells text from noise.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	if !cause.PlainHTTP(plain(t, "HTTP/1.1 400 Bad Request\r\n\r\n")) || cause.PlainHTTP(plain(t, "\x00\x01\x02\x03\x04\x05\x06")) || cause.PlainHTTP(io.EOF) {
		t.Error("HTTP isn't told from noise")
	}
}

var quiet = log.New(io.Discard, "", 0)

func dial(network, address string) error {
	conn, err := net.Dial(network, address)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err == nil {
		_ = l.Close()
	}
	return err
}

func listenTwice(t *testing.T) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return listen(l.Addr().String())
}

func open(path string) error {
	_, err := os.Open(path)
	return err
}

func read(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// pair is a connection that nothing is sent on.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func timedOut(t *testing.T) error {
	t.Helper()
	near, _ := pair(t)
	_ = near.SetReadDeadline(time.Unix(1, 0))
	_, err := near.Read(make([]byte, 1))
	return err
}

func closedHere(t *testing.T) error {
	t.Helper()
	near, _ := pair(t)
	_ = near.Close()
	_, err := near.Read(make([]byte, 1))
	return err
}

func handshake(t *testing.T, config *tls.Config) error {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = quiet
	server.StartTLS()
	defer server.Close()
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), config)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func otherName(t *testing.T) error {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = quiet
	server.StartTLS()
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "other.test"
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), config)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// plain shakes hands with a server that answers in text.
func plain(t *testing.T, answer string) error {
	t.Helper()
	near, far := pair(t)
	_, _ = io.WriteString(far, answer)
	return tls.Client(near, &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS12}).Handshake()
}

// get asks a server that speaks HTTP over https, or one that doesn't over http.
func get(t *testing.T, scheme string) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		answer := "HTTP/1.1 400 Bad Request\r\n\r\n"
		if scheme == "http" {
			answer = "what?\r\n\r\n"
		}
		if scheme == "http" { // or it could come before the client waits for it
			_, _ = http.ReadRequest(bufio.NewReader(conn))
		}
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, conn)
	}()
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Get(scheme + "://" + l.Addr().String())
	if err == nil {
		_ = response.Body.Close()
	}
	return err
}

func keyPair(certificate, key string) error {
	_, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	return err
}

func decode64(text string) error {
	_, err := base64.StdEncoding.DecodeString(text)
	return err
}

func decodeHex(text string) error {
	_, err := hex.DecodeString(text)
	return err
}

func number(text string) error {
	_, err := strconv.Atoi(text)
	return err
}

func address(text string) error {
	_, err := netip.ParseAddr(text)
	return err
}

func pattern(text string) error {
	_, err := regexp.Compile(text)
	return err
}

func parseURL(text string) error {
	_, err := url.Parse(text)
	return err
}

func inflate(text string) error {
	_, err := gzip.NewReader(bytes.NewReader([]byte(text)))
	return err
}
