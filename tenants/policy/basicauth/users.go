package basicauth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Bounds of a file of users.
const (
	maxFile  = 4 << 20
	maxUsers = 50_000
)

// user is one of whom the hash of a password is known.
type user struct {
	name   []byte
	hash   hash
	digest [sha256.Size]byte // of the hash's text: what is known of a password is known of it, not of the user
}

// Value is policy.Values's.
func (u *user) Value(name string) []byte {
	if name == "user" {
		return u.name
	}
	return nil
}

func newUser(name, text string) (user, error) {
	if err := checkName(name); err != nil {
		return user{}, err
	}
	h, err := parseHash(text)
	if err != nil {
		return user{}, err
	}
	return user{[]byte(name), h, sha256.Sum256([]byte(text))}, nil
}

// checkName refuses names that no client can send (RFC 7617 §2), and that would not be
// one line of a field.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > policy.MaxValue:
		return fmt.Errorf("a name has from 1 to %d bytes, and this has %d", policy.MaxValue, len(name))
	case bytes.IndexByte([]byte(name), ':') >= 0:
		return errors.New("a name has no colon")
	case !message.IsFieldText([]byte(name)) || string(message.Trim([]byte(name))) != name:
		return errors.New("a name has no control characters, and no space at its ends")
	}
	return nil
}

// parseUsers reads a file of users. Its error quotes no hash.
func parseUsers(content []byte) (users []user, err error) {
	seen := map[string]int{}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimRight(line, "\r\n \t")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, rest, found := bytes.Cut(line, []byte(":"))
		if !found {
			return nil, fmt.Errorf("line %d has no colon, expected name:hash", number)
		}
		text, _, _ := bytes.Cut(rest, []byte(":")) // behind another one others keep comments
		u, err := newUser(string(name), string(text))
		if err != nil {
			return nil, fmt.Errorf("user %.64q in line %d: %w", name, number, err)
		}
		if first := seen[string(name)]; first > 0 {
			return nil, fmt.Errorf("user %.64q is in line %d and in line %d, expected once", name, first, number)
		}
		if seen[string(name)] = number; len(users) == maxUsers {
			return nil, fmt.Errorf("it has more than %d users", maxUsers)
		}
		users = append(users, u)
	}
	if len(users) == 0 {
		return nil, errors.New("it has no user, expected name:hash on each line")
	}
	return users, nil
}
