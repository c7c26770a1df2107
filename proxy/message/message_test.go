package message

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// TestBytes asks for each byte whether a token and whether a field value may
// have it, alone and among others.
func TestBytes(t *testing.T) {
	t.Parallel()
	const token = letters + digits + "!#$%&'*+-.^_`|~"
	for c := range 256 {
		b := []byte{'a', byte(c), 'b'}
		isToken := strings.IndexByte(token, byte(c)) >= 0
		if IsTokenByte(byte(c)) != isToken || IsToken(b) != isToken || IsToken(b[1:2]) != isToken {
			t.Errorf("byte %#x: part of a token is %v, want %v", c, !isToken, isToken)
		}
		isText := c >= 0x20 && c <= 0x7e || c >= 0x80 || c == '\t'
		if IsTextByte(byte(c)) != isText || IsFieldText(b) != isText {
			t.Errorf("byte %#x: part of a field value is %v, want %v", c, !isText, isText)
		}
	}
	if IsToken(nil) || !IsFieldText(nil) {
		t.Error("nothing is a token, or isn't a field value")
	}
}

// TestNames changes each byte of each known name into every other one: only
// the case of letters may change what the name is, and all that compare names
// agree.
func TestNames(t *testing.T) {
	t.Parallel()
	for id, name := range names {
		if name == "" {
			continue
		}
		for at := range len(name) {
			for c := range 256 {
				changed := []byte(name)
				changed[at] = byte(c)
				same := strings.ToLower(string(changed)) == name && c < 0x80
				if got := Identify(changed); (got == ID(id)) != same {
					t.Errorf("%q is identified as %d; whether that is %q ought to be %v", changed, got, name, same)
				}
				if EqualFold(changed, name) != same || SameName(changed, []byte(name)) != same || SameName([]byte(name), changed) != same {
					t.Errorf("%q equals %q is %v, want %v", changed, name, !same, same)
				}
			}
		}
		for _, other := range []string{name + "s", name[:len(name)-1]} {
			if Identify([]byte(other)) == ID(id) || EqualFold([]byte(other), name) || SameName([]byte(other), []byte(name)) {
				t.Errorf("%q is taken for %q", other, name)
			}
		}
	}
}

// TestFolding compares each byte with each: only letters have a case, whatever
// the bits of others say.
func TestFolding(t *testing.T) {
	t.Parallel()
	for a := range 256 {
		for b := range 256 {
			x, y := []byte{byte(a)}, []byte{byte(b)}
			isLetter := strings.IndexByte(letters, byte(a)) >= 0 && strings.IndexByte(letters, byte(b)) >= 0
			same := a == b || isLetter && a|0x20 == b|0x20
			if SameName(x, y) != same {
				t.Errorf("%q and %q are the same name is %v, want %v", x, y, !same, same)
			}
			if isUpper := 'A' <= b && b <= 'Z'; !isUpper && EqualFold(x, string(y)) != same {
				t.Errorf("%q equals %q is %v, want %v", x, y, !same, same)
			}
		}
	}
}

// TestFamilies: names that are dropped by how they begin.
func TestFamilies(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]ID{
		"Proxy": ProxyAny, "proxy-": ProxyAny, "Proxy-Connection": ProxyAny, "PROXY-AUTHORIZATION": ProxyAny,
		"Proxys": Unknown, "Prox": Unknown, "Proxy_Connection": Unknown, "Qroxy-Connection": Unknown,
		"X-Forwarded": XForwardedAny, "x_forwarded": XForwardedAny, "X-Forwarded-": XForwardedAny, "X-FORWARDED-PORT": XForwardedAny,
		"X_Forwarded-For": XForwardedAny, "x-forwarded_host": XForwardedAny, "X-Forwarded-Z": XForwardedAny, "X-Forwarded-For": XForwardedFor,
		"X-Forwarde": Unknown, "X-Forwardedfor": Unknown, "Y-Forwarded-For": Unknown, "X-Fo\x12warded": Unknown, "X-[orwarded": Unknown,
		"x": Unknown, "p": Unknown, "-": Unknown, "~": Unknown, "{": Unknown, "@": Unknown, strings.Repeat("a", 100): Unknown, strings.Repeat("a", 20): Unknown,
	} {
		if got := Identify([]byte(name)); got != want {
			t.Errorf("%q: got %d, want %d", name, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"": nil, ",": nil, " \t, ,": nil, "a": {"a"}, "a,b": {"a", "b"}, ",a , \tb\t,,c,": {"a", "b", "c"}, "a b": {"a b"},
	} {
		var got []string
		for token, rest := NextToken([]byte(list)); token != nil; token, rest = NextToken(rest) {
			got = append(got, string(token))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
		for _, token := range []string{"a", "b", "c", "d"} {
			if has := HasToken([]byte(list), token); has != slices.Contains(want, token) {
				t.Errorf("%q has %q: got %v", list, token, has)
			}
		}
	}
	for text, want := range map[string]string{"": "", " ": "", "\t \t": "", "a": "a", "\ta b ": "a b", "  a\t\t": "a", "\na\v": "\na\v"} {
		if got := string(Trim([]byte(text))); got != want {
			t.Errorf("%q trimmed: got %q, want %q", text, got, want)
		}
	}
}

// text shows a header: name=value, ! for dropped fields, + for added ones.
func text(h Header) string {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(string(f.Name) + "=" + string(f.Value))
		if f.Dropped {
			b.WriteString("!")
		}
		if f.Added {
			b.WriteString("+")
		}
		b.WriteString(" ")
		if f.ID != Identify(f.Name) {
			b.WriteString("(wrong ID) ")
		}
	}
	return strings.TrimSpace(b.String())
}

func header(fields ...string) (h Header) {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		value, dropped := strings.CutSuffix(value, "!")
		h = append(h, Field{Name: []byte(name), Value: []byte(value), ID: Identify([]byte(name)), Dropped: dropped})
	}
	return h
}

// TestHeader edits fields that have an ID of their own, none, and one that they
// share with others.
func TestHeader(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]string{"ETag": "Vary", "X-Own": "X-Other", "Proxy-Own": "Proxy-Other", "X-Forwarded-Own": "X-Forwarded-Other"} {
		lower := strings.ToLower(name)
		h := header("a=1", name+"=2!", lower+"=3", "X-Other=4", other+"=5", name+"=6")
		if got := string(h.Value([]byte(lower))); got != "3" {
			t.Errorf("%s: got %q, want the first value that isn't dropped", name, got)
		}
		h.Set([]byte(lower), []byte("7"))
		if got, want := text(h), "a=1 "+lower+"=7 X-Other=4 "+other+"=5"; got != want {
			t.Errorf("%s set: got %s, want %s", name, got, want)
		}
		h.Add([]byte(name), []byte("8"))
		if got, want := text(h), "a=1 "+lower+"=7 X-Other=4 "+other+"=5 "+name+"=8+"; got != want {
			t.Errorf("%s added: got %s, want %s", name, got, want)
		}
		before := h
		h.Remove([]byte(strings.ToUpper(name)))
		if got, want := text(h), "a=1 X-Other=4 "+other+"=5"; got != want {
			t.Errorf("%s removed: got %s, want %s", name, got, want)
		}
		if rest := before[len(h):]; rest[0].Name != nil || rest[1].Value != nil {
			t.Errorf("%s: what was removed is still referred to", name)
		}
		h.Set([]byte(name), []byte("9"))
		if got, want := text(h), "a=1 X-Other=4 "+other+"=5 "+name+"=9"; got != want {
			t.Errorf("%s set where it wasn't: got %s, want %s", name, got, want)
		}
		if h.Remove([]byte("A")); text(h) != "X-Other=4 "+other+"=5 "+name+"=9" {
			t.Errorf("the first one removed: %s", text(h))
		}
		if h.Remove([]byte("b")); len(h) != 3 || h.Value([]byte("b")) != nil {
			t.Errorf("a name that isn't there: %s", text(h))
		}
	}
	h := header("Via=1", "ETag=2", "via=3")
	if string(h.Get(Via)) != "1" || h.Get(Host) != nil || !h.Has(ETag) || h.Has(Host) {
		t.Errorf("got Via %q, Host %q, has ETag %v, has Host %v", h.Get(Via), h.Get(Host), h.Has(ETag), h.Has(Host))
	}
	if got := string(AppendField([]byte("x"), []byte("A"), []byte("b"))); got != "xA: b\r\n" {
		t.Errorf("a field as text: %q", got)
	}
}

// TestIDs: a set has what was put into it, and nothing else.
func TestIDs(t *testing.T) {
	t.Parallel()
	for last := range idCount {
		set := SetOf(Host, last)
		for id := range idCount {
			if want := id == Host || id == last; set.Has(id) != want {
				t.Errorf("the set of %d and %d has %d: %v", Host, last, id, set.Has(id))
			}
		}
	}
	if SetOf() != 0 || IDs(0).Has(Unknown) {
		t.Error("the empty set has something")
	}
}

// TestReset: a message that is used again has nothing of the one before, and
// its memory leads to nothing of it either.
func TestReset(t *testing.T) {
	t.Parallel()
	field := Field{Name: []byte("ETag"), Value: []byte("x"), ID: ETag}
	request := &Request{Method: []byte("GET"), Target: []byte("/"), Form: AsteriskForm, Authority: []byte("h"), Resource: []byte("/"), Continue: true, Trailers: true, Unsized: true}
	response := &Response{Status: 200, Reason: []byte("OK"), Bodiless: true, Without: SetOf(ETag)}
	for _, m := range []*Message{&request.Message, &response.Message} {
		m.Version, m.Length, m.UpgradeAsked = "1.1", 1, true
		m.Receive(field)
		if !m.Came(ETag) || m.Came(Host) || m.Came(Unknown) || m.Came(IfNoneMatch) {
			t.Errorf("came: ETag %v, Host %v", m.Came(ETag), m.Came(Host))
		}
	}
	request.Reset()
	response.Reset()
	for _, m := range []*Message{&request.Message, &response.Message} {
		if cap(m.Header) == 0 || len(m.Header) > 0 || m.Came(ETag) || m.Header[:1][0].Name != nil {
			t.Errorf("after reset: room for %d fields, %d fields, came %v", cap(m.Header), len(m.Header), m.Came(ETag))
		}
		m.Header = nil
	}
	sent := &Sent{Method: []byte("GET"), Header: Header{field}, Without: SetOf(ETag), Own: Header{field}, Length: 1, Trailers: true}
	if sent.Reset(); cap(sent.Own) == 0 || len(sent.Own) > 0 || sent.Own[:1][0].Name != nil {
		t.Errorf("after reset, %d fields of a sent request, and room for %d", len(sent.Own), cap(sent.Own))
	}
	if sent.Own = nil; !reflect.DeepEqual(sent, &Sent{}) {
		t.Errorf("after reset, a sent request is %+v", sent)
	}
	if !reflect.DeepEqual(request, &Request{}) || !reflect.DeepEqual(response, &Response{}) {
		t.Errorf("after reset: %+v, %+v", request, response)
	}
}

// TestStatusText: the registered phrases, of the newest specifications.
func TestStatusText(t *testing.T) {
	t.Parallel()
	newer := map[int]string{
		102: "Status", 103: "Early Hints", 413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable",
		422: "Unprocessable Content", 203: "Non-Authoritative Information", 499: "Client Closed Request",
	}
	for status := range 1000 {
		want := http.StatusText(status)
		if n, differs := newer[status]; differs {
			want = n
		}
		if want == "" {
			want = "Status"
		}
		if got := StatusText(status); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
}

// TestViolations: each has words of its own.
func TestViolations(t *testing.T) {
	t.Parallel()
	seen := map[string]Violation{}
	for v := BadRequestLine; v <= BodyTooLarge; v++ {
		words := v.Error()
		if other, twice := seen[words]; twice || strings.HasPrefix(words, "violation ") {
			t.Errorf("violation %d says %q, as %d does", v, words, other)
		}
		seen[words] = v
	}
	if got := (BodyTooLarge + 1).Error(); got != "violation 23" {
		t.Errorf("got %q for what isn't one", got)
	}
	if got := Violation(0).Error(); got != "violation 0" {
		t.Errorf("got %q for none", got)
	}
}
