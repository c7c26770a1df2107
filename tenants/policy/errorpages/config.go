// Package errorpages is the policy that words the errors which the gateway itself
// answers with.
//
//	policies:
//	  - errors: { problem: true, pages: { "404": { file: 404.html }, 5xx: { text: Something failed } } }
package errorpages

import (
	_ "embed" // for About
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section errors of a policy.
type Config struct {
	// Pages by the status that they are for: one such as "404", or a class, 4xx or 5xx;
	// the first is preferred. Clients that ask for JSON get JSON. Default: none, and
	// errors are worded as ever.
	Pages map[string]*Page `yaml:"pages"`

	// Whether clients that ask for JSON get it in the form of RFC 9457, as
	// application/problem+json. Default: false, and in the gateway's own form.
	Problem bool `yaml:"problem"`
}

// Page is one of the pages of errors.
type Page struct {
	// Text of the page. {status}, {reason}, {code}, {message} and {request_id} in it, or
	// in the file, are those of the error, 100 at most. Default: none.
	Text string `yaml:"text"`

	// File that has it, of at most 1 MiB. Default: none.
	File string `yaml:"file"`

	// Content-Type of it. Default: text/html; charset=utf-8 for what begins with "<",
	// else text/plain; charset=utf-8.
	ContentType string `yaml:"content_type"`

	content []byte // of the file
}

const (
	maxPage  = 1 << 20
	maxPages = 100

	// maxPlaces bounds how often values stand in a page: with all of them it is
	// less than half as long again as the largest.
	maxPlaces = 100
)

// About describes the policy.
func (c *Config) About() policy.About { return policy.About{Source: source} }

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if len(c.Pages) == 0 && !c.Problem {
		r.Errorf(c, "errors changes nothing, expected pages or problem")
	}
	if len(c.Pages) > maxPages {
		r.Errorf(&c.Pages, "%d pages are too many, expected at most %d", len(c.Pages), maxPages)
	}
	for _, status := range slices.Sorted(maps.Keys(c.Pages)) {
		p := c.Pages[status]
		if !isStatus(status) {
			r.Errorf(p, "%.40q is no status of errors, expected one of 400 to 599, 4xx or 5xx", status)
		}
		if (p.Text == "") == (p.File == "") {
			r.Errorf(p, "the page for %s has %s, expected text or file", status, map[bool]string{true: "neither text nor file", false: "text and file"}[p.Text == ""])
		}
		if len(p.Text) > maxPage {
			r.Errorf(&p.Text, "text of %d bytes is too long, expected at most %d", len(p.Text), maxPage)
		} else if n := countPlaces(p.Text); n > maxPlaces {
			r.Errorf(&p.Text, "text has %d values like {status}, expected at most %d", n, maxPlaces)
		}
		if v := []byte(p.ContentType); len(v) > 256 || !message.IsFieldText(v) || len(message.Trim(v)) != len(v) {
			r.Errorf(&p.ContentType, "content_type %.100q is none, expected one like text/html", v)
		}
	}
}

func countPlaces(text string) int { return len(places.FindAllStringIndex(text, -1)) }

func isStatus(s string) bool {
	if s == "4xx" || s == "5xx" {
		return true
	}
	return len(s) == 3 && (s[0] == '4' || s[0] == '5') && strings.Trim(s, "0123456789") == ""
}

// Load is policy.Loader's.
func (c *Config) Load(read policy.ReadFile, r settings.Reporter) {
	for _, status := range slices.Sorted(maps.Keys(c.Pages)) {
		p := c.Pages[status]
		p.content = nil
		if p.File == "" {
			continue
		}
		content, err := read(p.File, maxPage)
		if err == nil && len(content) == 0 {
			err = errors.New("it is empty")
		}
		if n := countPlaces(string(content)); n > maxPlaces {
			err = fmt.Errorf("it has %d values like {status}, expected at most %d", n, maxPlaces)
		}
		if err != nil {
			r.Errorf(&p.File, "file %q can't be used: %v", p.File, err)
			continue
		}
		p.content = content
	}
}
