package errorpages

import (
	"encoding/json"
	"html"
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
		w.pages[status] = &page{text: text, kind: kind, markup: strings.Contains(kind, "html") || strings.Contains(kind, "xml")}
	}
	return w, nil
}

// wording is the policy.
type wording struct {
	problem bool
	pages   map[string]*page
}

type page struct {
	text, kind string
	markup     bool
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

// fill puts what is known of an error into the page. None of it can be markup there.
func (p *page) fill(r *policy.Request, e policy.Error) []byte {
	values := []string{"{status}", strconv.Itoa(e.Status), "{reason}", message.StatusText(e.Status), "{code}", e.Code, "{message}", e.Message, "{request_id}", string(r.ID)}
	if p.markup {
		for i := 1; i < len(values); i += 2 {
			values[i] = html.EscapeString(values[i])
		}
	}
	return []byte(strings.NewReplacer(values...).Replace(p.text))
}

// Explain is policy.Explainer's.
func (w *wording) Explain(*policy.Request) string { return "it concerns errors only" }
