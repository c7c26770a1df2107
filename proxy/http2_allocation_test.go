package proxy_test

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/net/http2"
)

// answeringHTTP2 starts a target of HTTP/2 that answers every request with hello,
// and allocates nothing while it does.
func answeringHTTP2(t testing.TB) (address string) {
	t.Helper()
	// :status 200, content-length: 5, and the content.
	answer := []byte("\x00\x00\x05\x01\x04\x00\x00\x00\x00\x88\x0f\x0d\x015\x00\x00\x05\x00\x01\x00\x00\x00\x00hello")
	settings, settled := make([]byte, 9), make([]byte, 9)
	settings[3], settled[3], settled[4] = byte(http2.FrameSettings), byte(http2.FrameSettings), byte(http2.FlagSettingsAck)
	return target(t, func(conn net.Conn) {
		buf, have := make([]byte, 64<<10), 0
		skip := len(http2.ClientPreface)
		if _, err := conn.Write(settings); err != nil {
			return
		}
		for {
			n, err := conn.Read(buf[have:])
			if err != nil {
				return
			}
			have += n
			at := 0
			if have >= skip {
				at, skip = skip, 0
			}
			for skip == 0 && have-at >= 9 {
				size := 9 + int(binary.BigEndian.Uint32(buf[at:])>>8)
				if have-at < size {
					break
				}
				var out []byte
				switch kind := http2.FrameType(buf[at+3]); {
				case kind == http2.FrameSettings && buf[at+4] == 0:
					out = settled
				case kind == http2.FrameHeaders:
					copy(answer[5:9], buf[at+5:at+9])
					copy(answer[9+5+5:], buf[at+5:at+9])
					out = answer
				}
				if out != nil {
					if _, err := conn.Write(out); err != nil {
						return
					}
				}
				at += size
			}
			have = copy(buf, buf[at:have])
		}
	})
}

// TestHTTP2TargetAllocates0 is TestRequestAllocates0 for a target of HTTP/2.
func TestHTTP2TargetAllocates0(t *testing.T) {
	server := start(t, "access_log: {enabled: false}\ntenants:\n"+
		"  - {name: a, domains: [example.com], services: [{url: \"h2c://"+answeringHTTP2(t)+"\"}], grpc: {web: true}}\n")
	for name, request := range map[string]string{
		"GET":            "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
		"POST":           "POST /path HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody",
		"POST of a type": "POST /path HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nbody",
	} {
		if n := allocationsOf(t, server, request); n > 0 {
			t.Errorf("a %s allocates: %d times in %d requests at best, want 0", name, n, window)
		}
	}
}
