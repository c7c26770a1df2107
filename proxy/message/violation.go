package message

import "fmt"

// Violation says which rule a message broke.
type Violation uint8

// The violations. Those up to WrongLength are malformed messages; the last
// ones are well-formed, but more than was allowed.
const (
	BadRequestLine Violation = iota + 1
	BadStatusLine
	BadVersion
	BadTarget
	BadFieldName
	BadFieldValue
	BadLineEnd
	ObsoleteFold
	BadHost
	BadContentLength
	BadTransferEncoding
	ConflictingFraming
	BadConnection
	BadExpect
	BadChunk
	BadTrailer
	BadPseudoField
	ConnectionField
	WrongLength
	HeaderTooLarge
	TargetTooLong
	BodyTooLarge
)

var violationTexts = [...]string{
	BadRequestLine:      "the request line is not \"METHOD TARGET HTTP/1.1\"",
	BadStatusLine:       "the status line is not \"HTTP/1.1 STATUS REASON\"",
	BadVersion:          "the protocol version is neither HTTP/1.1 nor HTTP/1.0",
	BadTarget:           "the request target is malformed",
	BadFieldName:        "a field name is not a token followed by a colon",
	BadFieldValue:       "a field value has a control byte",
	BadLineEnd:          "a line does not end with CRLF",
	ObsoleteFold:        "a field is folded over several lines",
	BadHost:             "there must be exactly one valid Host",
	BadContentLength:    "Content-Length is not one decimal number",
	BadTransferEncoding: "Transfer-Encoding is not \"chunked\"",
	ConflictingFraming:  "Content-Length and Transfer-Encoding exclude each other",
	BadConnection:       "Connection is malformed or names too many fields",
	BadExpect:           "Expect is not \"100-continue\"",
	BadChunk:            "the chunked coding is malformed",
	BadTrailer:          "the trailer section is malformed",
	BadPseudoField:      "a pseudo-field such as :path is missing, repeated, unknown, misplaced or malformed",
	ConnectionField:     "a field is one of HTTP/1's connections, or TE is not \"trailers\"",
	WrongLength:         "the content is not as long as Content-Length says",
	HeaderTooLarge:      "the header section is too large",
	TargetTooLong:       "the request target is too long",
	BodyTooLarge:        "the content is too large",
}

// Error is a violation; its values are comparable and cost no allocation.
func (v Violation) Error() string {
	if int(v) < len(violationTexts) && violationTexts[v] != "" {
		return violationTexts[v]
	}
	return fmt.Sprintf("violation %d", uint8(v))
}
