package proxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// own is content that only one request has.
func own(number uint64, length int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, number*0x9e3779b97f4a7c15), length/8)
}

// TestHTTP2Mixed sends requests of all kinds at once over few connections, of which
// clients give some up at any time: none gets a byte of another, and nothing is left.
func TestHTTP2Mixed(t *testing.T) {
	var inside atomic.Int64
	address := http2Target(t, func(w http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		defer inside.Add(-1)
		number, _ := strconv.ParseUint(r.URL.Query().Get("n"), 10, 64)
		length, _ := strconv.Atoi(r.URL.Query().Get("down"))
		if r.URL.Query().Has("cut") {
			_, _ = w.Write(own(number, length/2))
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Number", strconv.FormatUint(number, 10))
		if r.URL.Query().Has("early") {
			_, _ = w.Write(own(number, length))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(body, own(number, len(body))) {
			t.Errorf("request %d has sent something of another", number)
		}
		_, _ = w.Write(own(number, length))
	})
	server := start(t, "access_log: {enabled: false}\ntenants: [{name: t, domains: [127.0.0.1], connections: {max_per_target: 3, max_streams: 20}, services: [{url: \"h2c://"+address+"\"}]}]\n")
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 40}}
	t.Cleanup(client.CloseIdleConnections)
	const workers, each = 16, 40
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for i := range each {
				number := uint64(worker*each + i + 1)
				up, down := 8*random.IntN(1<<random.IntN(15)), 8*random.IntN(1<<random.IntN(15))
				kind := random.IntN(10)
				url := fmt.Sprintf("http://%s/?n=%d&down=%d", server.Addr(), number, down)
				switch kind {
				case 0:
					url += "&cut"
				case 1:
					url += "&early"
				}
				mixedRequest(t, client, url, number, up, down, kind, random)
			}
		})
	}
	group.Wait()
	until.True(t, "the target has none left", func() bool { return inside.Load() == 0 })
	for tenant := range server.Tenants() {
		one := tenant.Pool.Targets()[0]
		until.True(t, "no request is in flight", func() bool { return one.InFlight.Load() == 0 })
	}
}

// mixedRequest makes a request and judges the answer; kinds from 2 to 4 are given up.
func mixedRequest(t *testing.T, client *http.Client, url string, number uint64, up, down, kind int, random *rand.Rand) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var body io.Reader
	switch kind % 3 {
	case 0:
		body = bytes.NewReader(own(number, up))
	case 1:
		body = io.MultiReader(bytes.NewReader(own(number, up/2)), bytes.NewReader(own(number, up-up/2)))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
		return
	}
	givesUp := kind >= 2 && kind <= 4
	if givesUp && random.IntN(2) == 0 {
		go cancel() // at any time
	}
	resp, err := client.Do(r)
	if err != nil {
		if !givesUp {
			t.Errorf("request %d: %v", number, err)
		}
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if busy[resp.Header.Get("X-Gateway-Error")] {
		return
	}
	var in io.Reader = resp.Body
	if givesUp {
		in = io.LimitReader(in, int64(random.IntN(down+1)))
	}
	got, err := io.ReadAll(in)
	n := len(got) / 8 * 8
	switch {
	case resp.StatusCode != 200 && kind > 1 && !givesUp:
		t.Errorf("request %d: %d %q", number, resp.StatusCode, got)
	case resp.StatusCode == 200 && !bytes.Equal(got[:n], own(number, n)):
		t.Errorf("request %d has got something of another", number)
	case kind > 1 && !givesUp && (err != nil || len(got) != down):
		t.Errorf("request %d: %d bytes of %d, %v", number, len(got), down, err)
	case kind == 0 && down > 8 && err == nil && resp.StatusCode == 200:
		t.Errorf("request %d was cut, and looks complete", number)
	}
}
