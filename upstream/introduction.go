package upstream

import (
	"context"
	"net"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
)

// Introduction is what a target with proxy_protocol is told of a client, before
// anything else on a connection.
type Introduction = proxyprotocol.Outgoing

// proxyVersions are the values of ServiceConfig.ProxyProtocol, with the version.
var proxyVersions = map[string]int{"": 0, "v1": 1, "v2": 2}

// introducing is an opener whose connections begin with a header of the PROXY protocol.
func introducing(header []byte, open opener) opener {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := open(ctx, network, address)
		if err != nil {
			return nil, err
		}
		deadline, _ := ctx.Deadline()
		_ = conn.SetWriteDeadline(deadline)
		if _, err = conn.Write(header); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

// probeOpener is what probes open connections with: a target that expects a header gets
// one that says that nobody is connected for.
func (t *Target) probeOpener(tuned *tuning) opener {
	open := opener(t.registry.options.Dial)
	if tuned.introduces == 0 {
		return open
	}
	own := Introduction{Local: true}
	return introducing(own.Append(nil, tuned.introduces), open)
}

// Introduces reports whether any target of the pool is told who clients are.
func (p *Pool) Introduces() bool { return p.introduces }

// introduction is what the call's client is introduced by to a target of a version. The
// memory is the call's.
func (c *Call) introduction(version int) []byte {
	unknown := Introduction{}
	told := c.Introduction
	if told == nil {
		told = &unknown
	}
	c.header = told.Append(c.header[:0], version)
	return c.header
}
