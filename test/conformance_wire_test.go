package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// maxLine bounds a line and maxLines a head read by the suite, so that a
// gateway gone wild can't eat the test's memory.
const (
	maxLine  = 1 << 20
	maxLines = 100_000
)

// malformed is the error for bytes that break the grammar of RFC 9112. An
// error of another type means that the stream ended or broke too early.
type malformed string

func (m malformed) Error() string { return "malformed message: " + string(m) }

// The classes are negated, for a positive one would take high bytes as code
// points.
var (
	requestLine = regexp.MustCompile(`^([!#$%&'*+\-.^_|~0-9A-Za-z` + "`" + `]+) ([^\x00-\x20\x7f]+) (HTTP/1\.1)$`)
	statusLine  = regexp.MustCompile(`^(HTTP/1\.[01]) ([1-9][0-9][0-9]) [^\x00-\x08\x0a-\x1f\x7f]*$`)
	fieldLine   = regexp.MustCompile(`^([!#$%&'*+\-.^_|~0-9A-Za-z` + "`" + `]+):[\t ]*([^\x00-\x08\x0a-\x1f\x7f]*)$`)
	chunkLine   = regexp.MustCompile(`^([0-9A-Fa-f]{1,15})([\t ]*;[^\x00-\x08\x0a-\x1f\x7f]*)?$`)
	lengthValue = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// field is one header line. The value is without surrounding whitespace; line
// is the line byte for byte.
type field struct{ name, value, line string }

// message is one HTTP/1.1 message as it stood on the wire.
type message struct {
	start    string
	fields   []field
	body     []byte
	trailers []field
	// framing says how the body was delimited: none, length, chunked or close.
	framing string
	// complete is set once the whole body has been read.
	complete bool
}

// values returns the values of all lines of one name, in order.
func (m *message) values(name string) []string { return valuesOf(m.fields, name) }

// hasLine tells whether a header line stands there byte for byte.
func (m *message) hasLine(line string) bool {
	for _, f := range m.fields {
		if f.line == line {
			return true
		}
	}
	return false
}

func valuesOf(fields []field, name string) (values []string) {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// readHead reads the start line and the fields, strictly.
func readHead(r *bufio.Reader) (*message, error) {
	start, err := readLine(r)
	if err != nil {
		return &message{start: start}, err
	}
	m := &message{start: start}
	m.fields, err = readFields(r)
	return m, err
}

// readFields reads field lines and the empty line after them.
func readFields(r *bufio.Reader) (fields []field, err error) {
	for range maxLines {
		line, err := readLine(r)
		if err != nil || line == "" {
			return fields, err
		}
		parts := fieldLine.FindStringSubmatch(line)
		if parts == nil {
			return fields, malformed(fmt.Sprintf("field line %.200q", line))
		}
		fields = append(fields, field{parts[1], strings.Trim(parts[2], " \t"), line})
	}
	return fields, malformed("more lines than any message needs")
}

// readLine reads up to CRLF and returns the line without it. A bare CR or LF is
// malformed.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) < maxLine {
			continue
		}
		if err != nil {
			return string(line), noEOF(err)
		}
		break
	}
	text, found := strings.CutSuffix(string(line), "\r\n")
	if !found || strings.ContainsAny(text, "\r\n\x00") {
		return text, malformed(fmt.Sprintf("line %.200q", line))
	}
	return text, nil
}

// readBody reads the body that the framing fields announce. toEnd says that
// without any the body lasts until the connection ends, which is so for
// responses.
func (m *message) readBody(r *bufio.Reader, toEnd bool) (err error) {
	encodings, lengths := m.values("Transfer-Encoding"), m.values("Content-Length")
	switch {
	case len(encodings)+len(lengths) > 1:
		return malformed(fmt.Sprintf("ambiguous framing: Transfer-Encoding %q, Content-Length %q", encodings, lengths))
	case len(encodings) == 1 && !strings.EqualFold(encodings[0], "chunked"):
		return malformed("Transfer-Encoding " + encodings[0])
	case len(encodings) == 1:
		m.framing = "chunked"
		err = m.readChunks(r)
	case len(lengths) == 1 && !lengthValue.MatchString(lengths[0]):
		return malformed("Content-Length " + lengths[0])
	case len(lengths) == 1:
		m.framing = "length"
		length, _ := strconv.ParseInt(lengths[0], 10, 64)
		err = m.readBytes(r, length)
	case toEnd:
		m.framing = "close"
		m.body, err = io.ReadAll(r)
	default:
		m.framing = "none"
	}
	m.complete = err == nil
	return err
}

// readChunks reads a chunked body with its trailer section (RFC 9112 §7.1).
func (m *message) readChunks(r *bufio.Reader) error {
	for {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		parts := chunkLine.FindStringSubmatch(line)
		if parts == nil {
			return malformed(fmt.Sprintf("chunk size %.200q", line))
		}
		size, err := strconv.ParseInt(parts[1], 16, 64)
		if err != nil {
			return malformed("chunk size " + parts[1])
		}
		if size == 0 {
			m.trailers, err = readFields(r)
			return err
		}
		if err := m.readBytes(r, size); err != nil {
			return err
		}
		end, err := readLine(r)
		if err != nil {
			return err
		}
		if end != "" {
			return malformed(fmt.Sprintf("bytes after the chunk's data: %.200q", end))
		}
	}
}

// readBytes appends length bytes to the body.
func (m *message) readBytes(r *bufio.Reader, length int64) error {
	part, err := io.ReadAll(io.LimitReader(r, length))
	m.body = append(m.body, part...)
	if err == nil && int64(len(part)) < length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// response is one answer with the interim ones before it.
type response struct {
	message
	version string
	status  int
	interim []int
	// early are the fields of the interim responses.
	early []field
}

// fromUpstream tells whether the mock made this answer, not the gateway.
func (r *response) fromUpstream() bool { return len(r.values("X-Answer-To")) > 0 }

// closes tells whether the connection ends after this answer.
func (r *response) closes() bool {
	connection := strings.ToLower(strings.Join(r.values("Connection"), ","))
	return strings.Contains(connection, "close") || r.framing == "close" ||
		r.version == "HTTP/1.0" && !strings.Contains(connection, "keep-alive")
}

// readResponse reads the final response to a request of the given method. On
// error, what could be read is returned with it; it is nil when not even a
// status line came.
func readResponse(r *bufio.Reader, method string) (*response, error) {
	answer := &response{}
	for {
		if _, err := r.Peek(1); err != nil {
			return nil, noEOF(err)
		}
		head, err := readHead(r)
		answer.message = *head
		parts := statusLine.FindStringSubmatch(head.start)
		if parts == nil {
			return nil, errors.Join(malformed(fmt.Sprintf("status line %.200q", head.start)), err)
		}
		answer.version = parts[1]
		answer.status, _ = strconv.Atoi(parts[2])
		if err != nil {
			return answer, err
		}
		if answer.status >= 200 || answer.status == 101 {
			break
		}
		answer.interim = append(answer.interim, answer.status)
		answer.early = append(answer.early, answer.fields...)
	}
	return answer, answer.readResponseBody(r, method)
}

// readResponseBody reads the body unless the method or the status forbids one
// (RFC 9112 §6.3).
func (r *response) readResponseBody(reader *bufio.Reader, method string) error {
	if method == "HEAD" || r.status < 200 || r.status == 204 || r.status == 304 {
		r.framing, r.complete = "none", true
		if r.status < 300 && method != "HEAD" && len(r.values("Transfer-Encoding"))+len(r.values("Content-Length")) > 0 {
			return malformed(fmt.Sprintf("framing fields on %d", r.status)) // RFC 9110 §8.6, RFC 9112 §6.1
		}
		return nil
	}
	if r.version == "HTTP/1.0" && len(r.values("Transfer-Encoding")) > 0 {
		return malformed("Transfer-Encoding in HTTP/1.0")
	}
	return r.readBody(reader, true)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
