package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// presented is a challenge that waits for the authority. Gateways that share a
// storage share it: the authority may come to any of them.
type presented struct {
	Name          string `json:"name"`
	Token         string `json:"token"`
	Authorization string `json:"authorization"`
}

// challenges are those that wait, of HTTP-01 and TLS-ALPN-01, by kind and name.
type challenges struct {
	mu   sync.Mutex
	list map[string]presented // guarded by mu

	reading chan struct{} // bounds the looks into the storage
}

// maxReading bounds how many connections and requests look at once for what
// another gateway has presented.
const maxReading = 8

func newChallenges() *challenges {
	return &challenges{list: map[string]presented{}, reading: make(chan struct{}, maxReading)}
}

func challengeKey(kind, name string) string { return "challenges/" + kind + "/" + name + ".json" }

// find returns what waits for a name. storage is where to look for what isn't our
// own; nil is nowhere.
func (c *challenges) find(kind, name string, storage Storage) (presented, bool) {
	key := challengeKey(kind, name)
	c.mu.Lock()
	p, ok := c.list[key]
	c.mu.Unlock()
	if ok || storage == nil {
		return p, ok
	}
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	default:
		return p, false
	}
	text, err := storage.Load(key)
	if err != nil || json.Unmarshal(text, &p) != nil || p.Name != name || !tokenOfURL(p.Token) {
		return presented{}, false
	}
	return p, true
}

// served is the solver of a kind that the gateway answers by itself.
type served struct {
	*challenges
	kind    string
	storage Storage
}

func (s served) present(_ context.Context, name string, c *acme.Challenge) error {
	p := presented{name, c.Token, c.KeyAuthorization}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	key := challengeKey(s.kind, name)
	s.mu.Lock()
	s.list[key] = p
	s.mu.Unlock()
	return s.storage.Save(key, text)
}

func (s served) cleanUp(_ context.Context, name string, _ *acme.Challenge) {
	key := challengeKey(s.kind, name)
	s.mu.Lock()
	delete(s.list, key)
	s.mu.Unlock()
	_ = s.storage.Delete(key) // the next one for the name writes over it
}

// challengePath is where HTTP-01 is asked for (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// Answer returns the answer to a request that is one of HTTP-01, for a token of
// ours; nil is any other. host is canonical, and path as the client wrote it. Both
// are only read.
func (m *Manager) Answer(host, path []byte) []byte {
	if !bytes.HasPrefix(path, []byte(challengePath)) || !m.active.Load() {
		return nil
	}
	token := path[len(challengePath):]
	if len(token) == 0 || len(token) > maxToken {
		return nil
	}
	name := string(host)
	storage := m.storageFor(name)
	if storage == nil {
		return nil
	}
	p, ok := m.challenges.find(HTTP01, name, storage)
	if !ok || p.Token != string(token) {
		return nil
	}
	return []byte(p.Authorization)
}

// Prove returns how a handshake is answered that is one of TLS-ALPN-01 (RFC 8737);
// nil is any other, and one for a name that isn't being proved. Nothing is spoken
// after it: the connection ends.
func (m *Manager) Prove(hello *tls.ClientHelloInfo) *tls.Config {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol || !m.active.Load() {
		return nil
	}
	name := strings.ToLower(hello.ServerName)
	storage := m.storageFor(name)
	if storage == nil {
		return nil
	}
	p, ok := m.challenges.find(TLSALPN01, name, storage)
	if !ok {
		return nil
	}
	certificate, err := acmez.TLSALPN01ChallengeCert(acme.Challenge{
		Identifier: acme.Identifier{Type: "dns", Value: name}, KeyAuthorization: p.Authorization,
	})
	if err != nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol}, Certificates: []tls.Certificate{*certificate}, SessionTicketsDisabled: true}
}

// storageFor is where challenges for a name may be found; nil is nowhere, since the
// name isn't ours.
func (m *Manager) storageFor(name string) Storage {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.plan == nil || m.plan.names.ownerOf(name) == "" {
		return nil
	}
	return m.plan.storage
}
