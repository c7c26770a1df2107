package http1

import "github.com/keystone-gateway/keystone-gateway/proxy/message"

// Response is a parsed response head.
type Response struct {
	message.Response
	Wire
}

// Reset makes r ready for another parse and keeps its memory.
func (r *Response) Reset() {
	r.Response.Reset()
	r.Wire = Wire{}
}

func (r *Response) head() *head { return &head{&r.Message, &r.Wire} }

// Parse parses a whole head as ReadHead returns it. The response's slices are
// views into head. toHEAD says that it answers a HEAD request, whose response
// has no body whatever its fields say. The error is a Violation.
func (r *Response) Parse(head []byte, toHEAD bool) error {
	if r.Version != "" { // else nothing was parsed into it since it was reset
		r.Reset()
	}
	line, rest := cutLine(head)
	if err := r.parseLine(line); err != nil {
		return err
	}
	if err := r.head().parseFields(rest); err != nil {
		return err
	}
	if err := r.head().framing(); err != nil {
		return err
	}
	return r.responseFraming(toHEAD)
}

func (r *Response) parseLine(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || line[8] != ' ' {
		return message.BadStatusLine
	}
	minor, err := parseVersion(line[:8])
	if err != nil {
		return err
	}
	r.Minor, r.Version = minor, versions[minor]
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return message.BadStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 { // from 600 on they are invalid, but three digits: a client takes them for 5xx (RFC 9110 §15)
		return message.BadStatusLine
	}
	r.Reason = line[12:]
	if len(line) == 12 { // without the space that RFC 9112 §4 asks for: widespread
		return nil
	}
	r.Reason = line[13:]
	if line[12] != ' ' || !message.IsFieldText(r.Reason) {
		return message.BadStatusLine
	}
	return nil
}

// responseFraming applies RFC 9112 §6.3 to what framing found.
func (r *Response) responseFraming(toHEAD bool) error {
	interim := r.Status < 200
	if interim && r.Framing != NoBody {
		return message.ConflictingFraming
	}
	sized := r.Framing == Length || r.Header.Has(message.ContentLength)
	switch {
	case interim, toHEAD, r.Status == 204, r.Status == 304:
		r.Framing, r.Bodiless = NoBody, true
	case r.Framing == NoBody && !sized:
		r.Framing = UntilClose
	}
	if !sized {
		r.Length = message.Unsized
	}
	return nil
}
