package policy

import "bytes"

// Error is one that the gateway is about to answer with.
type Error struct {
	Refusal
	JSON bool // the client asks for JSON
}

// Worder is a policy that words errors which the gateway itself answers with, of
// whatever kind; not those of targets and scripts.
type Worder interface {
	// Word returns what a client is told; without a body it is worded as ever. Nobody
	// may change what it returns.
	Word(r *Request, e Error) (contentType string, body []byte)
}

// Words reports whether a policy of the chain words errors.
func (c *Chain) Words() bool { return c != nil && c.worder >= 0 }

// Word has the first policy that does word an error.
func (c *Chain) Word(r *Request, e Error) (contentType string, body []byte) {
	for i := c.worder; i < len(c.steps); i++ {
		if w, ok := c.steps[i].policy.(Worder); ok {
			r.Memo = &r.memos[i]
			if contentType, body = w.Word(r, e); body != nil {
				return contentType, body
			}
		}
	}
	return "", nil
}

// TypeOf is the type of a page, unless the configuration names one.
func TypeOf(page []byte, named string) string {
	switch {
	case named != "":
		return named
	case bytes.HasPrefix(bytes.TrimSpace(page[:min(len(page), 1024)]), []byte("<")):
		return "text/html; charset=utf-8"
	}
	return "text/plain; charset=utf-8"
}
