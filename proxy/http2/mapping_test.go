package http2_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// blockOf decodes fields that stand in lines of "name: value"; a name may begin with
// a colon.
func blockOf(t testing.TB, b *http2.Block, lines string) {
	t.Helper()
	var encoded bytes.Buffer
	encoder := hpack.NewEncoder(&encoded)
	for l := range strings.SplitSeq(lines, "\n") {
		at := strings.Index(l[1:], ": ") + 1
		if at < 1 {
			t.Fatalf("%q is no field", l)
		}
		if err := encoder.WriteField(hpack.HeaderField{Name: l[:at], Value: l[at+2:]}); err != nil {
			t.Fatal(err)
		}
	}
	b.Reset(1 << 16)
	if err := new(http2.Decoder).Decode(encoded.Bytes(), b); err != nil {
		t.Fatal(err)
	}
}

const get = ":method: GET\n:scheme: https\n:authority: a.example.com\n:path: /x?y"

// TestRequest: what becomes of a block, and which rule one breaks.
func TestRequest(t *testing.T) {
	t.Parallel()
	pseudo := func(without, with string) string {
		lines := strings.Split(get, "\n")
		for i := range lines {
			if strings.HasPrefix(lines[i], without) {
				lines[i] = with
			}
		}
		return strings.Trim(strings.ReplaceAll(strings.Join(lines, "\n"), "\n\n", "\n"), "\n")
	}
	for name, test := range map[string]struct {
		lines string
		ended bool
		want  error
	}{
		"usual":                       {get, true, nil},
		"no method":                   {pseudo(":method", ""), true, message.BadPseudoField},
		"no scheme":                   {pseudo(":scheme", ""), true, message.BadPseudoField},
		"no path":                     {pseudo(":path", ""), true, message.BadPseudoField},
		"empty path":                  {pseudo(":path", ":path: "), true, message.BadPseudoField},
		"no host":                     {pseudo(":authority", ""), true, message.BadHost},
		"empty authority":             {pseudo(":authority", ":authority: "), true, message.BadHost},
		"Host alone":                  {pseudo(":authority", "") + "\nhost: a.example.com", true, nil},
		"two Hosts":                   {pseudo(":authority", "") + "\nhost: a.example.com\nhost: a.example.com", true, message.BadHost},
		"Host agrees":                 {get + "\nhost: A.example.com:443", true, nil},
		"Host disagrees":              {get + "\nhost: b.example.com", true, message.BadHost},
		"two Hosts that agree":        {get + "\nhost: a.example.com\nhost: a.example.com", true, message.BadHost},
		"user in authority":           {pseudo(":authority", ":authority: u@a.example.com"), true, message.BadHost},
		"other scheme":                {pseudo(":scheme", ":scheme: ftp"), true, message.BadPseudoField},
		"repeated":                    {get + "\n:path: /x?y", true, message.BadPseudoField},
		"after a field":               {get + "\na: b\n:path: /x?y", true, message.BadPseudoField},
		"unknown pseudo-field":        {get + "\n:user: b", true, message.BadPseudoField},
		"of responses":                {get + "\n:status: 200", true, message.BadPseudoField},
		"method is no token":          {pseudo(":method", ":method: GE T"), true, message.BadPseudoField},
		"method has a line end":       {pseudo(":method", ":method: GET / HTTP/1.1\r"), true, message.BadPseudoField},
		"path with a space":           {pseudo(":path", ":path: /x HTTP/1.1"), true, message.BadTarget},
		"path with a line end":        {pseudo(":path", ":path: /x\r\na: b"), true, message.BadPseudoField},
		"path with a fragment":        {pseudo(":path", ":path: /x#y"), true, message.BadTarget},
		"path is a URL":               {pseudo(":path", ":path: http://b.example.com/"), true, message.BadTarget},
		"long path":                   {pseudo(":path", ":path: /"+strings.Repeat("x", 8192)), true, message.TargetTooLong},
		"asterisk":                    {pseudo(":path", ":path: *"), true, message.BadTarget},
		"OPTIONS":                     {strings.Replace(pseudo(":path", ":path: *"), "GET", "OPTIONS", 1), true, nil},
		"CONNECT":                     {":method: CONNECT\n:authority: a.example.com:443", false, nil},
		"CONNECT with a path":         {":method: CONNECT\n:authority: a.example.com:443\n:path: /", false, message.BadPseudoField},
		"CONNECT without a host":      {":method: CONNECT", false, message.BadPseudoField},
		"protocol of a GET":           {get + "\n:protocol: websocket", true, message.BadPseudoField},
		"upper case":                  {get + "\nAbc: d", true, message.BadFieldName},
		"name of a control":           {get + "\n\x00: d", true, message.BadFieldName},
		"name is no token":            {get + "\na b: d", true, message.BadFieldName},
		"name with a line end":        {get + "\na\r: d", true, message.BadFieldName},
		"value with CR":               {get + "\na: b\rc", true, message.BadFieldValue},
		"value with NUL":              {get + "\na: b\x00c", true, message.BadFieldValue},
		"space before a value":        {get + "\na:  b", true, message.BadFieldValue},
		"tab after a value":           {get + "\na: b\t", true, message.BadFieldValue},
		"Connection":                  {get + "\nconnection: close", true, message.ConnectionField},
		"Keep-Alive":                  {get + "\nkeep-alive: 5", true, message.ConnectionField},
		"Proxy-Connection":            {get + "\nproxy-connection: close", true, message.ConnectionField},
		"Transfer-Encoding":           {get + "\ntransfer-encoding: chunked", false, message.ConnectionField},
		"Upgrade":                     {get + "\nupgrade: websocket", true, message.ConnectionField},
		"HTTP2-Settings":              {get + "\nhttp2-settings: x", true, message.ConnectionField},
		"TE":                          {get + "\nte: trailers", true, nil},
		"TE with more":                {get + "\nte: trailers, gzip", true, message.ConnectionField},
		"length":                      {get + "\ncontent-length: 5", false, nil},
		"length of nothing":           {get + "\ncontent-length: 5", true, message.WrongLength},
		"two lengths":                 {get + "\ncontent-length: 5\ncontent-length: 5", false, message.BadContentLength},
		"length is no number":         {get + "\ncontent-length: +5", false, message.BadContentLength},
		"expectation":                 {get + "\nexpect: 100-continue", false, nil},
		"other expectation":           {get + "\nexpect: more", false, message.BadExpect},
		"extended CONNECT":            {":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a.example.com\n:path: /chat", false, nil},
		"extended, without its path":  {":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a.example.com", false, message.BadPseudoField},
		"extended, of no known shape": {":method: CONNECT\n:protocol: a b\n:scheme: https\n:authority: a.example.com\n:path: /", false, message.BadPseudoField},
	} {
		var block http2.Block
		blockOf(t, &block, test.lines)
		var r http2.Request
		for range 2 { // it may be judged again
			if err := r.Parse(&block, http2.Asked{MaxTarget: 8192, Ended: test.ended}); !errors.Is(err, test.want) || err == nil != (test.want == nil) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
	}
}

// TestRequestParts: what everybody else sees of a request.
func TestRequestParts(t *testing.T) {
	t.Parallel()
	var block http2.Block
	var r http2.Request
	blockOf(t, &block, get+"\ncookie: a=b\nx: y\ncookie: c=d\ncontent-length: 7\ncookie: e=f\nte: trailers\nexpect: 100-continue\nhost: a.example.com")
	if err := r.Parse(&block, http2.Asked{MaxTarget: 100}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range r.Header {
		lines = append(lines, string(f.Name)+": "+string(f.Value))
	}
	want := "host: a.example.com\ncookie: a=b; c=d; e=f\nx: y\ncontent-length: 7\nte: trailers\nexpect: 100-continue"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if string(r.Method) != "GET" || string(r.Target) != "/x?y" || string(r.Resource) != "/x?y" || string(r.Authority) != "a.example.com" ||
		r.Version != "2.0" || r.Length != 7 || !r.Continue || !r.Trailers || !r.Unsized || r.UpgradeAsked || r.Form != message.OriginForm {
		t.Errorf("got %+v", r)
	}
	blockOf(t, &block, get)
	if err := r.Parse(&block, http2.Asked{MaxTarget: 100}); err != nil || r.Length != message.Unsized || r.Continue || r.Trailers {
		t.Errorf("of unknown length: %+v, %v", r, err)
	}
}

// TestExtendedConnect: a WebSocket is asked for as in HTTP/1, by which a target can't
// tell the difference, and what it agrees to is checked.
func TestExtendedConnect(t *testing.T) {
	t.Parallel()
	var block http2.Block
	var r http2.Request
	blockOf(t, &block, ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a.example.com\n:path: /chat\nsec-websocket-key: mine\nsec-websocket-version: 13")
	if err := r.Parse(&block, http2.Asked{MaxTarget: 100}); err != nil {
		t.Fatal(err)
	}
	key := string(r.Header.Value([]byte("Sec-WebSocket-Key")))
	if string(r.Method) != "GET" || !r.UpgradeAsked || r.Length != 0 || string(r.Header.Get(message.Upgrade)) != "websocket" || len(key) != 24 || key == "mine" {
		t.Errorf("got %+v with key %q", r, key)
	}
	if err := r.Parse(&block, http2.Asked{MaxTarget: 100}); err != nil || string(r.Header.Value([]byte("Sec-WebSocket-Key"))) != key {
		t.Errorf("judged again: %v, another key", err)
	}
	answer := func(accept ...string) *message.Response {
		a := &message.Response{Status: 101}
		for _, v := range accept {
			a.Header.Add([]byte("Sec-WebSocket-Accept"), []byte(v))
		}
		return a
	}
	right := http2.AcceptOf(key)
	for name, a := range map[string]*message.Response{"none": answer(), "wrong": answer("x"), "twice": answer(right, right)} {
		if r.Agrees(a) {
			t.Errorf("%s: agreed", name)
		}
	}
	if a := answer(right); !r.Agrees(a) || !a.Header[0].Dropped {
		t.Error("not agreed, or told on")
	}
}

// TestResponses: what becomes of a response's block.
func TestResponses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines         string
		toHEAD, ended bool
		want          error
		length        int64
		bodiless      bool
	}{
		"usual":             {":status: 200\ncontent-length: 5", false, false, nil, 5, false},
		"unknown length":    {":status: 200", false, false, nil, message.Unsized, false},
		"empty":             {":status: 200", false, true, nil, 0, false},
		"to HEAD":           {":status: 200\ncontent-length: 5", true, true, nil, 5, true},
		"not modified":      {":status: 304\ncontent-length: 5", false, true, nil, 5, true},
		"interim":           {":status: 103\nlink: x", false, false, nil, message.Unsized, true},
		"interim, the end":  {":status: 103", false, true, message.ConflictingFraming, 0, false},
		"interim, a length": {":status: 103\ncontent-length: 5", false, false, message.ConflictingFraming, 0, false},
		"cut":               {":status: 200\ncontent-length: 5", false, true, message.WrongLength, 0, false},
		"switching":         {":status: 101", false, false, message.BadStatusLine, 0, false},
		"no status":         {"a: b", false, false, message.BadPseudoField, 0, false},
		"no number":         {":status: 2x0", false, false, message.BadStatusLine, 0, false},
		"long":              {":status: 2000", false, false, message.BadStatusLine, 0, false},
		"two statuses":      {":status: 200\n:status: 200", false, false, message.BadPseudoField, 0, false},
		"connection":        {":status: 200\nconnection: close", false, false, message.ConnectionField, 0, false},
	} {
		var block http2.Block
		blockOf(t, &block, test.lines)
		var r http2.Response
		err := r.Parse(&block, test.toHEAD, test.ended)
		if !errors.Is(err, test.want) || err == nil != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err == nil && (r.Length != test.length || r.Bodiless != test.bodiless) {
			t.Errorf("%s: %d bytes, bodiless %v", name, r.Length, r.Bodiless)
		}
	}
}

// decoded are the fields of what was encoded, as x/net reads it.
func decoded(t *testing.T, block []byte) string {
	t.Helper()
	var lines []string
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) { lines = append(lines, f.Name+": "+f.Value) })
	if _, err := decoder.Write(block); err != nil {
		t.Fatal(err)
	}
	if err := decoder.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestEncode: what is written, as x/net reads it.
func TestEncode(t *testing.T) {
	t.Parallel()
	field := func(name, value string) message.Field {
		return message.Field{Name: []byte(name), Value: []byte(value), ID: message.Identify([]byte(name))}
	}
	long := strings.Repeat("x", 300)
	response := &message.Response{Status: 200}
	response.Length = 5
	response.Header = message.Header{
		field("Content-Type", "text/plain"), field("X-Long", long), field("Connection", "close"), field("Transfer-Encoding", "chunked"),
		{Name: []byte("Dropped"), Value: []byte("x"), Dropped: true}, field("Set-Cookie", "a=b"), field("Set-Cookie", "c=d"), field("Upgrade", "h2c"),
	}
	want := ":status: 200\ncontent-type: text/plain\nx-long: " + long + "\nset-cookie: a=b\nset-cookie: c=d\ncontent-length: 5"
	if got := decoded(t, http2.AppendResponse(nil, response)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for status := 100; status < 1000; status++ {
		if got := decoded(t, http2.AppendResponse(nil, &message.Response{Status: status, Message: message.Message{Length: message.Unsized}})); got != ":status: "+string([]byte{byte('0' + status/100), byte('0' + status/10%10), byte('0' + status%10)}) {
			t.Errorf("status %d: %q", status, got)
		}
	}
	request := &message.Sent{Method: []byte("PATCH"), Path: []byte("/y"), Query: []byte("?z"), Trailers: true, Continue: true}
	request.Header = message.Header{field("Cookie", "a=b; c=d;e=f"), field("Host", "b"), field("Accept", "*/*"), field("ETag", "x")}
	request.Without = message.SetOf(message.ETag)
	request.Own = message.Header{field("Upgrade", "websocket"), field("X-Own", "v")}
	want = ":method: PATCH\n:scheme: https\n:path: /base/y?z\n:authority: t.example.com\ncookie: a=b\ncookie: c=d\ncookie: e=f\naccept: */*\nx-own: v\nexpect: 100-continue\nte: trailers"
	if got := decoded(t, http2.AppendRequest(nil, request, "https", "/base", "t.example.com")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	trailer := message.Header{field("Grpc-Status", "0"), field("Authorization", "x"), field("Content-Length", "5")}
	if got := decoded(t, http2.AppendTrailer(nil, trailer)); got != "grpc-status: 0" {
		t.Errorf("trailer: %q", got)
	}
}

// FuzzRequest: whatever a block holds, what is taken for a request can be written
// as one of HTTP/1, and in no other way than it was meant.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(":method\x00GET\x00:scheme\x00https\x00:authority\x00a\x00:path\x00/\x00x\x00y"), true)
	f.Add([]byte(":method\x00CONNECT\x00:protocol\x00websocket\x00:scheme\x00https\x00:authority\x00a\x00:path\x00/\x00cookie\x00y\x00cookie\x00z"), false)
	f.Fuzz(func(t *testing.T, data []byte, ended bool) {
		var encoded bytes.Buffer
		encoder := hpack.NewEncoder(&encoded)
		parts := bytes.Split(data, []byte{0})
		for i := 0; i+1 < len(parts); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: string(parts[i]), Value: string(parts[i+1])})
		}
		var block http2.Block
		block.Reset(1 << 14)
		if err := new(http2.Decoder).Decode(encoded.Bytes(), &block); err != nil {
			return
		}
		var r http2.Request
		if r.Parse(&block, http2.Asked{MaxTarget: 1 << 12, Ended: ended}) != nil {
			return
		}
		clean := func(what string, p []byte) {
			if bytes.ContainsAny(p, "\r\n\x00") {
				t.Fatalf("%s is %q", what, p)
			}
		}
		clean("method", r.Method)
		clean("target", r.Target)
		clean("authority", r.Authority)
		hosts, lengths := 0, 0
		for _, f := range r.Header {
			clean("name", f.Name)
			clean("value", f.Value)
			if !message.IsToken(f.Name) || bytes.ToLower(f.Name) == nil {
				t.Fatalf("name %q", f.Name)
			}
			switch f.ID {
			case message.Host:
				hosts++
			case message.ContentLength:
				lengths++
			case message.Connection, message.TransferEncoding, message.KeepAlive:
				t.Fatalf("%s has passed", f.Name)
			case message.Upgrade:
				if !r.UpgradeAsked {
					t.Fatal("upgrade has passed")
				}
			}
		}
		if hosts > 1 || lengths > 1 || len(r.Authority) == 0 || !message.IsToken(r.Method) {
			t.Fatalf("%d hosts, %d lengths, %q, %q", hosts, lengths, r.Authority, r.Method)
		}
	})
}
