package http1

// Response is a parsed response head.
type Response struct {
	Message
	Status int
	Reason []byte
}

// Reset makes r ready for another parse and keeps its memory.
func (r *Response) Reset() {
	fields := r.Header
	clear(fields)
	*r = Response{Message: Message{Header: fields[:0]}}
}

// Parse parses a whole head as ReadHead returns it. The response's slices are
// views into head. toHEAD says that it answers a HEAD request, whose response
// has no body whatever its fields say. The error is a Violation.
func (r *Response) Parse(head []byte, toHEAD bool) error {
	r.Reset()
	line, rest := cutLine(head)
	if err := r.parseLine(line); err != nil {
		return err
	}
	if err := r.parseFields(rest); err != nil {
		return err
	}
	if err := r.framing(); err != nil {
		return err
	}
	return r.responseFraming(toHEAD)
}

func (r *Response) parseLine(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || line[8] != ' ' {
		return BadStatusLine
	}
	minor, err := parseVersion(line[:8])
	if err != nil {
		return err
	}
	r.Minor = minor
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return BadStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 { // from 600 on they are invalid, but three digits: a client takes them for 5xx (RFC 9110 §15)
		return BadStatusLine
	}
	if len(line) == 12 { // without the space that RFC 9112 §4 asks for: widespread
		return nil
	}
	r.Reason = line[13:]
	if line[12] != ' ' || !isFieldText(r.Reason) {
		return BadStatusLine
	}
	return nil
}

// responseFraming applies RFC 9112 §6.3 to what framing found.
func (r *Response) responseFraming(toHEAD bool) error {
	informational := r.Status < 200
	if informational && r.Framing != NoBody {
		return ConflictingFraming
	}
	switch {
	case informational, toHEAD, r.Status == 204, r.Status == 304:
		r.Framing = NoBody
	case r.Framing == NoBody && !r.Header.Has(ContentLength):
		r.Framing = UntilClose
	}
	return nil
}
