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
	request.Header.Set("Authorization", benchCredentials)
	if strings.HasPrefix(path, "/admin/") || strings.HasPrefix(path, "/debug/") || path == "/metrics" {
		request.Header.Set("Authorization", "Bearer "+adminToken)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return &answer{response.StatusCode, response.Header, string(body)}, err
}
