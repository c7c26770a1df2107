package settings_test

import (
	"fmt"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestRep(t *testing.T) {
	debug.SetMaxStack(48 << 20)
	al := []string{"-", " ", "  ", "\n", "\n ", "\n  ", "a", "b: ", ": ", "? ", "&a ", "*a ", "!a ", "!!str ", "!!map ", "!!seq ", "[", "]", "{", "}", ",", "'x'", "\"y\"", "|\n", ">\n", "- ", "a: ", "a:\n", "---\n", "...\n", "%A b\n", "#c\n", "<<: ", "\t", "null", " : ", "~", "\r", "%", "@", "é", "\"", "'", " #"}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	stop := time.Now().Add(40 * time.Second)
	n, slow := 0, 0
	for time.Now().Before(stop) {
		var s string
		for range 1 + r.IntN(6) {
			s += al[r.IntN(len(al))]
		}
		pre := ""
		for range r.IntN(3) {
			pre += al[r.IntN(len(al))]
		}
		src := pre + strings.Repeat(s, 200000/len(s))
		os.WriteFile("/tmp/gy/last", []byte(fmt.Sprintf("%q %q", pre, s)), 0o600)
		c := defaults()
		st := time.Now()
		done := make(chan struct{})
		go func() { settings.Decode("f", []byte(src), &c, nil); close(done) }()
		select {
		case <-done:
		case <-time.After(4 * time.Second):
			fmt.Printf("TIMEOUT %q %q\n", pre, s)
			slow++
			if slow > 12 {
				return
			}
		}
		if d := time.Since(st); d > time.Second {
			fmt.Printf("slow %v %q %q\n", d, pre, s)
		}
		n++
	}
	fmt.Println(n)
}
