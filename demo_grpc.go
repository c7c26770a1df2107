package main

import (
	"io"
	"net/http"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// demoGRPC is where config.yaml expects a service of gRPC.
const demoGRPC = "127.0.0.1:9103"

// healthMethod is the method that the demo's service has.
const healthMethod = "/grpc.health.v1.Health/Check"

// newDemoGRPC makes a server of gRPC's health protocol, by hand: the binary has no
// library of gRPC. It says that it serves, whatever it is asked for.
func newDemoGRPC() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: http.HandlerFunc(answerHealth), Protocols: protocols, ReadHeaderTimeout: time.Minute}
}

// answerHealth answers with a message of which field 1, the status, is 1, SERVING.
func answerHealth(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 64<<10))
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	if r.URL.Path != healthMethod {
		h.Set("Grpc-Status", "12") // UNIMPLEMENTED
		return
	}
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, 1})
	h.Set(http.TrailerPrefix+"Grpc-Status", "0")
}

// tryGRPC adds a call of gRPC-Web, which curl can send: one empty message, as text.
func (c *demoContent) tryGRPC(t proxy.TenantView) {
	for _, target := range t.Targets() {
		if target.Address().GRPC() {
			c.Tries = append(c.Tries, demoTry{"curl -H 'Content-Type: application/grpc-web-text' -d AAAAAAA= '" + c.Base + healthMethod + "'", "gRPC-Web, of a service that speaks gRPC"})
			return
		}
	}
}
