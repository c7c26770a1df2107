package generator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Bounds of a file of targets.
const (
	MaxTargets    = 100_000
	maxTargetLine = 64 << 10 // bytes
)

// ReadTargets reads targets, one a line:
//
//	[METHOD] URL-or-path [host=H] [weight=N]
//
// A path is one of the base, which may be nil if there are only URLs. method is
// for lines without one, "" as in Target. Empty lines and those that start with
// # are skipped. Errors start with name and the line's number.
func ReadTargets(r io.Reader, name string, base *url.URL, method string) ([]Target, error) {
	var targets []Target
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxTargetLine)
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		target, err := parseTarget(strings.Fields(line), base, method)
		if err == nil && len(targets) == MaxTargets {
			err = fmt.Errorf("expected at most %d targets", MaxTargets)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		targets = append(targets, target)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: expected a line of at most %d bytes", name, number+1, maxTargetLine)
	} else if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s: expected at least one target", name)
	}
	return targets, nil
}

func parseTarget(words []string, base *url.URL, method string) (Target, error) {
	t := Target{Method: method}
	if message.IsToken([]byte(words[0])) {
		t.Method, words = words[0], words[1:]
	}
	if len(words) == 0 {
		return t, fmt.Errorf("expected a URL or a path after %q", t.Method)
	}
	var err error
	if t.URL, err = resolve(words[0], base); err != nil {
		return t, err
	}
	for _, word := range words[1:] {
		if err := t.set(word); err != nil {
			return t, err
		}
	}
	complete := t // its defaults depend on options that aren't known yet
	return t, complete.check(&Options{})
}

// resolve reads a URL, or a path of the base.
func resolve(text string, base *url.URL) (*url.URL, error) {
	if !strings.HasPrefix(text, "/") {
		return ParseURL(text)
	}
	if base == nil {
		return nil, fmt.Errorf("%q is a path, expected a URL, or -url to say where the path is", text)
	}
	return ParseURL(base.Scheme + "://" + base.Host + text)
}

// set takes one of the settings after the URL.
func (t *Target) set(word string) error {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "host":
		if value == "" {
			return errors.New("host= is empty, expected a name")
		}
		t.Host = value
	case "weight":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > MaxWeight {
			return fmt.Errorf("weight=%s: expected 1 to %d", value, MaxWeight)
		}
		t.Weight = n
	default:
		return fmt.Errorf("unexpected %q, expected host=… or weight=…", word)
	}
	return nil
}
