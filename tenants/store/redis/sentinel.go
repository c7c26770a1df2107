package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// addresses are where the server may be.
func (c *client) addresses() ([]string, error) {
	if c.config.Sentinel == nil {
		return c.config.Address, nil
	}
	master, err := c.master()
	return []string{master}, err
}

// master asks one Sentinel after the other which server is the master. They are asked
// again and again, in the place of a subscription: what they say in between isn't
// needed, and the library believes all of that.
func (c *client) master() (address string, err error) {
	var failed error
	for _, sentinel := range c.config.Address {
		if address, err = c.ask(sentinel); err == nil {
			return address, nil
		}
		failed = errors.Join(failed, fmt.Errorf("sentinel %s: %w", sentinel, c.config.word(err)))
	}
	return "", failed
}

func (c *client) ask(sentinel string) (string, error) {
	asked := *c.config
	asked.Database, asked.Cluster = 0, false
	asker := &client{config: &asked, context: c.context, reach: c.reach}
	l := newLink([]string{sentinel})
	defer l.close()
	stop := context.AfterFunc(c.context, l.cut)
	defer stop()
	if err := asker.dial(l, c.config.Sentinel.Username, c.config.Sentinel.Password, []string{sentinel}); err != nil {
		return "", err
	}
	within, cancel := context.WithTimeout(c.context, connectTimeout)
	defer cancel()
	var answer []string
	if err := guarded(func() (err error) {
		answer, err = l.redis.Do(within, l.redis.B().SentinelGetMasterAddrByName().Master(c.config.Sentinel.Master).Build()).AsStrSlice()
		return err //nolint:wrapcheck // below
	}); err != nil {
		return "", fmt.Errorf("master %q: %w", c.config.Sentinel.Master, err)
	}
	if len(answer) != 2 {
		return "", errReply
	}
	address := net.JoinHostPort(answer[0], answer[1])
	if wrongAddress(address) != "" {
		return "", fmt.Errorf("%w: the master's address is none", errReply)
	}
	return address, nil
}

// moved says that Sentinels name another master than the link's. That none of them
// answers says nothing of it.
func (c *client) moved(l *link) error {
	if c.config.Sentinel == nil {
		return nil
	}
	if address, err := c.master(); err == nil && address != l.address {
		return fmt.Errorf("the master is %s now", address)
	}
	return nil
}
