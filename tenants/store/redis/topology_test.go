package redis_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/port"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestSentinel: the master is whom Sentinels name, now and later; one that doesn't
// answer, or names a server that is no master, keeps nobody from it.
func TestSentinel(t *testing.T) {
	t.Parallel()
	servers := []*redistest.Server{redistest.Start(t), redistest.Start(t)}
	var named atomic.Pointer[redistest.Server]
	named.Store(servers[0])
	sentinel := liar(t, func(words []string) string {
		switch words[0] {
		case "HELLO":
			return hello
		case "SENTINEL":
			host, port, _ := net.SplitHostPort(named.Load().Address)
			return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
		}
		return "+OK\r\n"
	})
	config := configOf(liar(t, func([]string) string { return "-ERR no\r\n" }))
	config.Address = append(config.Address, sentinel)
	config.Sentinel = &redis.SentinelConfig{Master: "mymaster"}
	shared := open(t, config)
	limits, q := shared.Tenant("a"), quota(t, 1, 3600, 10)
	if v, err := limits.Take(t.Context(), "limit", nil, q); err != nil || v.Remaining != 9 {
		t.Fatal(v, err)
	}
	at := func(server *redistest.Server) func() bool {
		return func() bool { status, _ := shared.Status(); return status.Here && status.Address == server.Address }
	}
	named.Store(servers[1])
	until.True(t, "the other master is used", at(servers[1]))
	servers[1].Do("REPLICAOF 127.0.0.1 1")
	named.Store(servers[0])
	until.True(t, "the first master is used again", at(servers[0]))
	if v, err := limits.Take(t.Context(), "limit", nil, q); err != nil || v.Remaining != 8 {
		t.Error(v, err)
	}
}

// TestLyingSentinel names nobody who could be connected to, and nothing panics.
func TestLyingSentinel(t *testing.T) {
	t.Parallel()
	for _, lie := range []string{"*0\r\n", "*1\r\n+a\r\n", "*-1\r\n", "*2\r\n:1\r\n*0\r\n", "+OK\r\n", "*3\r\n+a\r\n+b\r\n+c\r\n"} {
		config := configOf(liar(t, func(words []string) string {
			if words[0] == "HELLO" {
				return hello
			}
			return lie
		}))
		config.Sentinel = &redis.SentinelConfig{Master: "mymaster"}
		var shared redis.Shared
		shared.Use(config, time.Minute)
		if status, ok := shared.Status(); !ok || status.Here || status.Err == nil {
			t.Errorf("%q: %+v", lie, status)
		}
		shared.Close()
	}
}

// TestCluster: keys are at the nodes that have their slots.
func TestCluster(t *testing.T) {
	t.Parallel()
	var nodes []*redistest.Server
	for range 2 {
		nodes = append(nodes, redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", portOf(t)))
	}
	nodes[0].Do("CLUSTER ADDSLOTSRANGE 0 8191")
	nodes[1].Do("CLUSTER ADDSLOTSRANGE 8192 16383")
	host, number, _ := net.SplitHostPort(nodes[1].Address)
	bus := nodes[1].Option("--cluster-port")
	nodes[0].Do("CLUSTER MEET " + host + " " + number + " " + bus)
	for _, node := range nodes {
		until.True(t, "the cluster is whole", func() bool { return node.Holds("CLUSTER INFO", "cluster_state:ok") })
	}
	config := configOf(nodes[0].Address)
	config.Cluster = true
	shared := open(t, config)
	limits, q := shared.Tenant("a"), quota(t, 1, 3600, 2)
	for key := range byte(50) {
		for left := int64(1); left >= 0; left-- {
			if v, err := limits.Take(t.Context(), "limit", []byte{key}, q); err != nil || v.Remaining != left {
				t.Fatal(key, v, err)
			}
		}
	}
	for i := range 8 {
		d := shared.Tenant(fmt.Sprint("t", i)).Dictionary(budget)
		if err := d.Set(t.Context(), "k", "v", time.Hour); err != nil {
			t.Error(err)
		}
		if v, ok, err := d.Get(t.Context(), "k"); v != "v" || !ok || err != nil {
			t.Error(v, ok, err)
		}
	}
	for _, node := range nodes {
		if size := node.Do("DBSIZE"); size < ":10" {
			t.Errorf("a node has %s keys, want about half of 50", size)
		}
	}
}

func portOf(t *testing.T) string {
	t.Helper()
	_, number, _ := net.SplitHostPort(port.Reserve(t))
	return number
}
