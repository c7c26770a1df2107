package http1

import "bytes"

// maxConnectionOptions bounds what a Connection field may name: each one is
// looked for in the whole header.
const maxConnectionOptions = 32

// cutLine cuts the first line, without its CRLF, off a head whose line ends
// ReadHead has checked.
func cutLine(head []byte) (line, rest []byte) {
	i := bytes.IndexByte(head, '\n')
	if i < 1 {
		return nil, nil
	}
	return head[:i-1], head[i+1:]
}

func parseVersion(v []byte) (minor uint8, err error) {
	switch string(v) {
	case "HTTP/1.1":
		return 1, nil
	case "HTTP/1.0":
		return 0, nil
	}
	return 0, BadVersion
}

// parseFields parses the header lines up to the empty one.
func (m *Message) parseFields(rest []byte) error {
	for {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		if len(m.Header) == MaxFields {
			return HeaderTooLarge
		}
		field, err := parseField(line)
		if err != nil {
			return err
		}
		m.Header = append(m.Header, field)
		m.came |= 1 << field.ID
	}
	return m.connection()
}

// parseField parses "name: value" (RFC 9112 §5).
func parseField(line []byte) (Field, error) {
	if line[0] == ' ' || line[0] == '\t' {
		return Field{}, ObsoleteFold
	}
	colon := 0
	for colon < len(line) && tokenBytes[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return Field{}, BadFieldName
	}
	value := trim(line[colon+1:])
	if !isFieldText(value) {
		return Field{}, BadFieldValue
	}
	return Field{Name: line[:colon], Value: value, ID: Identify(line[:colon])}, nil
}

// connection evaluates the Connection fields (RFC 9110 §7.6.1).
func (m *Message) connection() error {
	options := 0
	for i := range m.Header {
		if m.Header[i].ID != Connection {
			continue
		}
		for token, rest := NextToken(m.Header[i].Value); token != nil; token, rest = NextToken(rest) {
			if options++; options > maxConnectionOptions || !IsToken(token) {
				return BadConnection
			}
			switch {
			case EqualFold(token, "close"):
				m.Close = true
			case EqualFold(token, "keep-alive"):
				m.KeepAlive = true
			case EqualFold(token, "upgrade"):
				m.UpgradeAsked = true
			default:
				m.drop(token)
			}
		}
	}
	return nil
}

// drop marks the fields of a name that a Connection field lists.
func (m *Message) drop(name []byte) {
	for i := range m.Header {
		if bytes.EqualFold(m.Header[i].Name, name) {
			m.Header[i].Dropped = true
		}
	}
}

// framing reads Content-Length and Transfer-Encoding. Either may stand once;
// together, in HTTP/1.0, or with any coding but chunked, they are refused,
// since a sender and a receiver could come to different ends.
func (m *Message) framing() error {
	lengths, codings := 0, 0
	for i := range m.Header {
		switch m.Header[i].ID {
		case ContentLength:
			n, ok := parseDecimal(m.Header[i].Value)
			if lengths++; !ok || lengths > 1 {
				return BadContentLength
			}
			m.ContentLength = n
		case TransferEncoding:
			if codings++; codings > 1 || !EqualFold(m.Header[i].Value, "chunked") {
				return BadTransferEncoding
			}
		}
	}
	switch {
	case codings > 0 && lengths > 0:
		return ConflictingFraming
	case codings > 0 && m.Minor == 0:
		return BadTransferEncoding
	case codings > 0:
		m.Framing = Chunked
	case m.ContentLength > 0:
		m.Framing = Length
	}
	return nil
}

// parseDecimal parses 1 to 18 digits and nothing else.
func parseDecimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// tokenBytes are the bytes of a token (RFC 9110 §5.6.2).
var tokenBytes = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// textBytes are the bytes of a field value: no control but HTAB.
var textBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != 0x7f || c == '\t'
	}
	return t
}()

// IsToken reports whether b is a token (RFC 9110 §5.6.2).
func IsToken(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

func isFieldText(b []byte) bool {
	for _, c := range b {
		if !textBytes[c] {
			return false
		}
	}
	return true
}

// isTargetText refuses what no URI has: controls, spaces, bytes beyond ASCII,
// and "#", which would be a fragment.
func isTargetText(b []byte) bool {
	for _, c := range b {
		if c <= 0x20 || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}
