// Package http1 is the one place where bytes become HTTP/1.1 messages and
// messages become bytes: strict parsing of heads, body framing, chunked
// coding. It judges syntax and framing (RFC 9112) and leaves meaning
// (routing, hop-by-hop fields, limits on bodies) to its callers.
//
//	reader.Reset(conn)
//	head, err := reader.ReadHead(nil, 16<<10)
//	err = request.Parse(head, 8<<10) // a Violation is malformed
package http1

import (
	"bytes"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Framing is how the end of a body is known (RFC 9112 §6.3).
type Framing uint8

// The framings.
const (
	NoBody     Framing = iota
	Length             // Content-Length
	Chunked            // Transfer-Encoding: chunked
	UntilClose         // responses only
)

// Wire is what only HTTP/1 knows of a message.
type Wire struct {
	Minor   uint8 // HTTP/1.Minor
	Framing Framing
	// Of the Connection field:
	Close, KeepAlive bool
}

// head is a message while its head is parsed.
type head struct {
	*message.Message
	*Wire
}

var versions = [...]string{"1.0", "1.1"}

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
	return 0, message.BadVersion
}

// parseFields parses the header lines up to the empty one.
func (m *head) parseFields(rest []byte) error {
	var field message.Field
	for len(rest) > 1 && (rest[0] != '\r' || rest[1] != '\n') {
		if len(m.Header) == message.MaxFields {
			return message.HeaderTooLarge
		}
		size, err := parseField(&field, rest)
		if err != nil {
			return err
		}
		m.Receive(field)
		rest = rest[size:]
	}
	return m.connection()
}

// parseField parses the line "name: value" (RFC 9112 §5) that lines, of a head whose
// line ends ReadHead has checked, start with, and returns its size with its end.
func parseField(f *message.Field, lines []byte) (size int, err error) {
	if lines[0] == ' ' || lines[0] == '\t' {
		return 0, message.ObsoleteFold
	}
	colon := 0
	for colon < len(lines) && message.IsTokenByte(lines[colon]) {
		colon++
	}
	if colon == 0 || colon == len(lines) || lines[colon] != ':' {
		return 0, message.BadFieldName
	}
	end := colon + 1 + message.FieldText(lines[colon+1:])
	if end+1 >= len(lines) || lines[end] != '\r' || lines[end+1] != '\n' {
		return 0, message.BadFieldValue
	}
	f.Name, f.Value, f.ID = lines[:colon], message.Trim(lines[colon+1:end]), message.Identify(lines[:colon])
	return end + 2, nil
}

// connection evaluates the Connection fields (RFC 9110 §7.6.1).
func (m *head) connection() error {
	if !m.Came(message.Connection) {
		return nil
	}
	options := 0
	for i := range m.Header {
		if m.Header[i].ID != message.Connection {
			continue
		}
		for token, rest := message.NextToken(m.Header[i].Value); token != nil; token, rest = message.NextToken(rest) {
			if options++; options > maxConnectionOptions || !message.IsToken(token) {
				return message.BadConnection
			}
			switch {
			case message.EqualFold(token, "close"):
				m.Close = true
			case message.EqualFold(token, "keep-alive"):
				m.KeepAlive = true
			case message.EqualFold(token, "upgrade"):
				m.UpgradeAsked = true
			default:
				m.drop(token)
			}
		}
	}
	return nil
}

// drop marks the fields of a name that a Connection field lists.
func (m *head) drop(name []byte) {
	for i := range m.Header {
		if bytes.EqualFold(m.Header[i].Name, name) {
			m.Header[i].Dropped = true
		}
	}
}

// framing reads Content-Length and Transfer-Encoding. Either may stand once;
// together, in HTTP/1.0, or with any coding but chunked, they are refused,
// since a sender and a receiver could come to different ends.
func (m *head) framing() error {
	lengths, codings := 0, 0
	if m.Length = 0; !m.Came(message.ContentLength) && !m.Came(message.TransferEncoding) {
		return nil
	}
	for i := range m.Header {
		switch m.Header[i].ID {
		case message.ContentLength:
			n, ok := message.ParseDecimal(m.Header[i].Value)
			if lengths++; !ok || lengths > 1 {
				return message.BadContentLength
			}
			m.Length = n
		case message.TransferEncoding:
			if codings++; codings > 1 || !message.EqualFold(m.Header[i].Value, "chunked") {
				return message.BadTransferEncoding
			}
		}
	}
	switch {
	case codings > 0 && lengths > 0:
		return message.ConflictingFraming
	case codings > 0 && m.Minor == 0:
		return message.BadTransferEncoding
	case codings > 0:
		m.Framing, m.Length = Chunked, message.Unsized
	case m.Length > 0:
		m.Framing = Length
	}
	return nil
}
