//go:build linux

package main

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// answer is the answer to a request that isn't measured.
type answer struct {
	status int
	header http.Header
	body   string
}

// unkept connections leave nothing behind in what is measured.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

func get(ctx context.Context, address netip.AddrPort, host, path string) (*answer, error) {
	return do(ctx, "GET", address, host, path)
}

func do(ctx context.Context, method string, address netip.AddrPort, host, path string) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address.String()+path, nil)
	if err != nil {
		return nil, err
	}
	request.Host = host
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return &answer{response.StatusCode, response.Header, string(body)}, err
}

// request is the bytes of a GET as a browser's script might send it.
func request(host, path string) []byte {
	return []byte(strings.Join([]string{
		"GET " + path + " HTTP/1.1", "Host: " + host,
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept: application/json", "Accept-Encoding: identity", "", "",
	}, "\r\n"))
}
