package acme_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/authority"
	"github.com/keystone-gateway/keystone-gateway/test/program"
)

// recorder is a dns.command which has the authority's names set records: a script
// that asks a server in the test.
func recorder(t *testing.T, ca *authority.Authority) []string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		value := query.Get("value")
		if query.Get("action") == "cleanup" {
			value = ""
		}
		ca.Names.SetText(query.Get("name"), value)
		fmt.Fprintln(w, "done")
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return []string{script(t, fmt.Sprintf(`test "$1" = --zone && test "$2" = x && shift 2 || exit 9
exec 3<>/dev/tcp/127.0.0.1/%d
printf 'GET /?action=%%s&domain=%%s&name=%%s&value=%%s HTTP/1.0\r\n\r\n' "$@" >&3
read -r status <&3
[[ "$status" == *200* ]]`, listener.Addr().(*net.TCPAddr).Port)), "--zone", "x"}
}

// script writes a script of bash.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dns.sh")
	program.Write(t, path, []byte("#!/bin/bash\n"+text+"\n"))
	return path
}
