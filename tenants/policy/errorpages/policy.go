package errorpages

import (
	"encoding/json"
	"html"
	"regexp"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	w := &wording{problem: c.Problem, pages: map[string]*page{}}
	for status, p := range c.Pages {
		text := p.Text
		if p.File != "" {
			text = string(p.content)
		}
		kind := policy.TypeOf([]byte(text), p.ContentType)
		w.pages[status] = newPage(text, kind)
	}
	return w, nil
}

// wording is the policy.
type wording struct {
	problem bool
	pages   map[string]*page
}

// page is one, taken apart where values of an error stand.
type page struct {
	kind   string
	markup bool
	whole  []byte   // if none stand there
	texts  []string // before, between and behind the values
	names  []string // of the values
}

// places are where values stand in a page.
var places = regexp.MustCompile(`\{(?:status|reason|code|message|request_id)\}`)

func newPage(text, kind string) *page {
	p := &page{kind: kind, markup: strings.Contains(kind, "html") || strings.Contains(kind, "xml")}
	if p.names = places.FindAllString(text, -1); p.names == nil {
		p.whole = []byte(text)
		return p
	}
	p.texts = places.Split(text, -1)
	return p
}

// Judge lets all pass.
func (w *wording) Judge(*policy.Request) (*policy.Answer, error) { return nil, nil }

// Word words an error that there is a page for, or in RFC 9457's form.
func (w *wording) Word(r *policy.Request, e policy.Error) (contentType string, body []byte) {
	if e.JSON {
		if !w.problem {
			return "", nil
		}
		return "application/problem+json", w.problemOf(r, e)
	}
	status := strconv.Itoa(e.Status)
	p := w.pages[status]
	if p == nil {
		p = w.pages[status[:1]+"xx"]
	}
	if p == nil {
		return "", nil
	}
	return p.kind, p.fill(r, e)
}

func (w *wording) problemOf(r *policy.Request, e policy.Error) []byte {
	body, err := json.Marshal(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}{"about:blank", message.StatusText(e.Status), e.Status, e.Message, e.Code, string(r.ID)})
	if err != nil {
		panic("BUG: cannot encode strings as JSON: " + err.Error())
	}
	return append(body, '\n')
}

// maxValue bounds a value, in bytes, before it is escaped: what a script says of its
// error has no bound of its own.
const maxValue = 1 << 10

// fill puts what is known of an error into the page. None of it can be markup there.
func (p *page) fill(r *policy.Request, e policy.Error) []byte {
	if p.whole != nil {
		return p.whole
	}
	values := map[string]string{"{status}": strconv.Itoa(e.Status), "{reason}": message.StatusText(e.Status), "{code}": e.Code, "{message}": e.Message, "{request_id}": string(r.ID)}
	size := len(p.texts[0])
	for name, value := range values {
		if len(value) > maxValue {
			value = strings.ToValidUTF8(value[:maxValue], "")
		}
		if p.markup {
			value = html.EscapeString(value)
		}
		values[name] = value
	}
	for i, name := range p.names {
		size += len(values[name]) + len(p.texts[i+1])
	}
	filled := append(make([]byte, 0, size), p.texts[0]...)
	for i, name := range p.names {
		filled = append(append(filled, values[name]...), p.texts[i+1]...)
	}
	return filled
}

// Explain is policy.Explainer's.
func (w *wording) Explain(*policy.Request) string { return "it concerns errors only" }
