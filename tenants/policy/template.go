package policy

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

// Template is a field's value, with variables of the request in it: ${NAME}, one
// of LaterVariables. In a section it is decoded like a string.
type Template struct {
	parts    []settings.Part
	constant []byte // the value, where there are no variables
}

// The variables of templates.
const (
	clientAddress = "client_address" // "unix" or unnamed where it isn't known
	host          = "host"
	requestID     = "request_id"
	tenant        = "tenant"

	// Of the certificate that the client has shown; empty without one.
	certificateSubject     = "client_certificate_subject"
	certificateSerial      = "client_certificate_serial"
	certificateFingerprint = "client_certificate_fingerprint"
)

// unnamed stands for the address of a client that is Unnamed, as in RFC 7239 §6.2.
const unnamed = "unknown"

// maxTemplate bounds the value of a template, in bytes.
const maxTemplate = 8 << 10

// longest is how long a variable's value may be, in bytes: whoever sends requests
// chooses some of them. A certificate's text that is longer is left out: cut off it
// could be another's.
var longest = map[string]int{
	clientAddress: 64, host: 255, requestID: 128, tenant: 64,
	certificateSubject: 1024, certificateSerial: 64, certificateFingerprint: 64,
}

// LaterVariables lists the variables.
func (*Template) LaterVariables() []string {
	return []string{clientAddress, host, requestID, tenant, certificateSubject, certificateSerial, certificateFingerprint}
}

// UnmarshalTemplate is settings.Template's.
func (t *Template) UnmarshalTemplate(parts []settings.Part) error {
	*t = Template{parts: parts, constant: []byte{}}
	for _, p := range parts {
		if p.Variable != "" {
			t.constant = nil
		}
		for at := range len(p.Text) {
			if c := p.Text[at]; !message.IsTextByte(c) {
				return fmt.Errorf("a field's value has the control character 0x%02X, expected none: a value is one line", c)
			}
		}
	}
	if text := settings.Written(parts); text != string(message.Trim([]byte(text))) {
		return errors.New("a field's value begins or ends with white space, expected none there: receivers drop it")
	}
	if size := t.Len(); size > maxTemplate {
		return fmt.Errorf("a field's value of %d bytes is too long, expected at most %d", size, maxTemplate)
	}
	if t.constant != nil && len(parts) > 0 {
		t.constant = []byte(parts[0].Text)
	}
	return nil
}

// UnmarshalText reads a text without variables.
func (t *Template) UnmarshalText(text []byte) error {
	return t.UnmarshalTemplate([]settings.Part{{Text: string(text)}})
}

// MarshalText returns the value as a configuration has it.
func (t Template) MarshalText() ([]byte, error) { return []byte(settings.Written(t.parts)), nil }

// Len is how long the value may be, in bytes.
func (t *Template) Len() (size int) {
	for _, p := range t.parts {
		size += len(p.Text) + longest[p.Variable]
	}
	return size
}

// foreignVariable is how others write a variable of a request: $remote_addr,
// {remote_host}, {http.request.host}, %{X}i, %[src], {{ .Host }}, %REQ(X)%.
var foreignVariable = regexp.MustCompile(`(?:^|[\s,;:/="(])(\$[a-z][a-z0-9_]*|\{[a-z]+(?:[._][a-z0-9_-]+)*\}|%\{[^{}"\s]+\}[a-z]|%\[[^\[\]"]+\]|\{\{[^{}]+\}\}|%[A-Z_]{3,}(?:\([^()]*\))?%)(?:$|[\s,;:/")])`)

// Foreign returns a part of the text that is a variable elsewhere, and here stands
// as it is; "" where there is none.
func (t *Template) Foreign() string {
	for _, p := range t.parts {
		if found := foreignVariable.FindStringSubmatch(p.Text); found != nil {
			return found[1]
		}
	}
	return ""
}

// Value returns the value for a request; it is valid until that ends. It has no
// control characters, whatever the variables' values have.
func (t *Template) Value(r *Request) []byte {
	if t.constant != nil {
		return t.constant
	}
	return r.Append(func(dst []byte) []byte { return t.append(dst, r) })
}

func (t *Template) append(dst []byte, r *Request) []byte {
	for _, p := range t.parts {
		if p.Variable == "" {
			dst = append(dst, p.Text...)
			continue
		}
		from := len(dst)
		dst = appendVariable(dst, p.Variable, r)
		for i := from; i < len(dst); i++ {
			if !message.IsTextByte(dst[i]) {
				dst[i] = '_'
			}
		}
	}
	return dst
}

func appendVariable(dst []byte, name string, r *Request) []byte {
	switch name {
	case clientAddress:
		switch {
		case r.Client.IsValid():
			return r.Client.AppendTo(dst)
		case r.Unnamed:
			return append(dst, unnamed...)
		}
		return append(dst, network.Unix...)
	case host:
		return append(dst, r.Host...)
	case requestID:
		return append(dst, r.ID...)
	case tenant:
		return append(dst, r.Tenant...)
	case certificateSubject, certificateSerial, certificateFingerprint:
		return appendCertificate(dst, name, r.Certificate)
	}
	panic("BUG: a template has the variable " + name)
}

func appendCertificate(dst []byte, name string, of *message.Certificate) []byte {
	if of == nil {
		return dst
	}
	text := of.Subject
	switch name {
	case certificateSerial:
		text = of.Serial
	case certificateFingerprint:
		text = of.Fingerprint
	}
	if len(text) > longest[name] {
		return dst
	}
	return append(dst, text...)
}
