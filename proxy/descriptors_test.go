package proxy

import (
	"bytes"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// TestClampConnections: clients leave descriptors to targets and to the gateway,
// and one address leaves connections to others.
func TestClampConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		wanted, ofOne   int
		descriptors     uint64
		most, mostOfOne int
		leftAtLeast     int // of descriptors
	}{
		{wanted: 65536, ofOne: 57344, descriptors: 1 << 20, most: 65536, mostOfOne: 57344},
		{wanted: 65536, ofOne: 57344, descriptors: 0, most: 65536, mostOfOne: 57344},
		{wanted: 65536, ofOne: 57344, descriptors: 65536, most: 48912, mostOfOne: 42798, leftAtLeast: 16384},
		{wanted: 65536, ofOne: 57344, descriptors: 1024, most: 576, mostOfOne: 504, leftAtLeast: 448},
		{wanted: 65536, ofOne: 57344, descriptors: 32, most: 8, mostOfOne: 7, leftAtLeast: 24},
		{wanted: 0, ofOne: 57344, descriptors: 1024, most: 576, mostOfOne: 504},
		{wanted: 0, ofOne: 0, descriptors: 1024, most: 576, mostOfOne: 0},
		{wanted: 65536, ofOne: 100, descriptors: 1024, most: 576, mostOfOne: 100},
		{wanted: 500, ofOne: 500, descriptors: 1024, most: 500, mostOfOne: 500},
		{wanted: 65536, ofOne: 57344, descriptors: 10, most: 8, mostOfOne: 7},
	} {
		most, ofOne := clampConnections(test.wanted, test.ofOne, test.descriptors)
		if most != test.most || ofOne != test.mostOfOne || test.leftAtLeast > 0 && int(test.descriptors)-most < test.leftAtLeast {
			t.Errorf("%+v: %d, of one address %d", test, most, ofOne)
		}
	}
	for n := 1; n < 4000; n++ {
		pipes := mostPipes(uint64(n))
		if 2*pipes+min(leastDescriptors, n) > n-forConnections(n) || n > 1300 && pipes != socket.MaxPipes {
			t.Fatalf("%d pipes of %d descriptors, of which %d are for connections", pipes, n, forConnections(n))
		}
	}
	for n := 4; n < 10000; n++ {
		if share := shareOfOne(n); share >= n || share < n/2 {
			t.Fatalf("one address may have %d of %d", share, n)
		}
	}
}

// TestFewerConnectionsAreToldOf: that fewer are accepted than asked for, and nothing else.
func TestFewerConnectionsAreToldOf(t *testing.T) {
	t.Parallel()
	for _, wanted := range []int{1, 8, 1 << 30} {
		var log bytes.Buffer
		c := DefaultConfig()
		c.Server.MaxConnections, c.Server.MaxConnectionsPerAddress = wanted, 5
		s := &Server{log: zerolog.New(&log)}
		most, ofOne := s.connectionLimits(&c)
		wantMost, wantOfOne := clampConnections(wanted, 5, descriptors())
		if most != wantMost || ofOne != wantOfOne {
			t.Errorf("of %d, %d are accepted, %d of one address", wanted, most, ofOne)
		}
		if told := strings.Contains(log.String(), `"max_connections":`+strconv.Itoa(wanted)); told != (most != wanted) {
			t.Errorf("of %d, %d are accepted, and that is told: %v", wanted, most, told)
		}
	}
}

// TestDescriptors are as many as the system says.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if got := descriptors(); got != limit.Cur {
		t.Errorf("there are %d, want %d", got, limit.Cur)
	}
}
