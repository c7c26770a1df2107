package streams_test

import (
	"net"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

// TestH2Spec runs h2spec, all of its cases, the strict ones too, over TLS and without
// it.
func TestH2Spec(t *testing.T) {
	cert, key := keyPair(t)
	server := serveOn(t, "[{address: '127.0.0.1:0', tls: true, protocols: [h2]}, {address: '127.0.0.1:0', name: plain, protocols: [h2c]}]",
		"tls: {cert_file: "+cert+", key_file: "+key+"}", echo)
	for i, tls := range []bool{true, false} {
		at := server.Addrs()[i].(*net.TCPAddr)
		ok, err := h2spec.Run(&config.Config{
			Host: "127.0.0.1", Port: at.Port, Path: "/", Timeout: 10 * time.Second, MaxHeaderLen: 4000, Strict: true, TLS: tls, Insecure: true,
		})
		if err != nil || !ok {
			t.Errorf("TLS %v: not all cases have passed, see above; %v", tls, err)
		}
	}
}
