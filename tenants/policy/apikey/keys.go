package apikey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Bounds of a file of keys.
const (
	maxFile  = 16 << 20
	maxKeys  = 100_000
	maxKnown = 16 // names of what is known of a key
)

type digest [sha256.Size]byte

// key is one key's hash, and what is known of who has it.
type key struct {
	id    string
	sum   digest
	known []known
}

// known is one such thing.
type known struct {
	name  string
	value []byte
}

// Value is policy.Values's.
func (k *key) Value(name string) []byte {
	for i := range k.known {
		if k.known[i].name == name {
			return k.known[i].value
		}
	}
	return nil
}

// set finds what is there twice.
type set struct {
	ids  map[string]bool
	sums map[digest]string
}

func (s *set) add(k *key) error {
	if s.ids == nil {
		s.ids, s.sums = map[string]bool{}, map[digest]string{}
	}
	if s.ids[k.id] {
		return fmt.Errorf("there is another key with the id %.64q, expected each once", k.id)
	}
	if other, twice := s.sums[k.sum]; twice {
		return fmt.Errorf("keys %.64q and %.64q have the same hash, so they are one, expected it once", other, k.id)
	}
	s.ids[k.id], s.sums[k.sum] = true, k.id
	return nil
}

// parseKeys reads a file of keys, none of which is known yet.
func parseKeys(content []byte, seen *set) (keys []*key, err error) {
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		k, err := parseKey(string(line))
		if err == nil {
			err = seen.add(k)
		}
		if err == nil && len(keys) == maxKeys {
			err = fmt.Errorf("there are more than %d keys", maxKeys)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key, expected one on each line: ID sha256:HASH name=value …")
	}
	return keys, nil
}

// parseKey reads "ID sha256:HASH name=value …". Its error quotes no more than an id, for
// what isn't a hash may be the key.
func parseKey(text string) (*key, error) {
	words := strings.Fields(text)
	if len(words) < 2 {
		return nil, errors.New("expected ID sha256:HASH name=value …")
	}
	k := &key{id: words[0]}
	if strings.Contains(k.id, ":") || strings.Contains(k.id, "=") || len(k.id) > policy.MaxValue || !message.IsFieldText([]byte(k.id)) {
		return nil, errors.New("it begins with something else than an id, expected ID sha256:HASH name=value …")
	}
	digits, ok := strings.CutPrefix(words[1], "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != len(k.sum) {
		return nil, fmt.Errorf("key %.64q has no hash, expected sha256: and 64 hexadecimal digits: printf %%s \"$KEY\" | sha256sum", k.id)
	}
	k.sum = digest(sum)
	k.known = append(k.known, known{"id", []byte(k.id)})
	for _, word := range words[2:] {
		name, value, ok := strings.Cut(word, "=")
		switch {
		case !ok || value == "" || !isName(name) || name == "id" || len(value) > policy.MaxValue || !message.IsFieldText([]byte(value)):
			return nil, fmt.Errorf("key %.64q has something else than name=value behind its hash, with a name of small letters, digits and _", k.id)
		case k.Value(name) != nil:
			return nil, fmt.Errorf("key %.64q has %s twice, expected it once", k.id, name)
		case len(k.known) == maxKnown:
			return nil, fmt.Errorf("key %.64q has more than %d names, expected fewer", k.id, maxKnown-1)
		}
		k.known = append(k.known, known{name, []byte(value)})
	}
	if k.Value(consumer) == nil {
		k.known = append(k.known, known{consumer, []byte(k.id)})
	}
	return k, nil
}

const consumer = "consumer"

// isName reports whether a text can be the name of what is known of a key.
func isName(text string) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return text != "" && len(text) <= 64
}
