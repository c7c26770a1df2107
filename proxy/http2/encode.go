package http2

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// What is encoded refers to the static table alone, and puts nothing into the
// peer's: so a block depends on no other, streams make theirs at once and in any
// order, and a connection that idles keeps nothing for it. Its price are some bytes
// that a dynamic table would save.

// AppendField appends a field, whose name may be in any case.
func AppendField(dst, name, value []byte) []byte {
	var buf [maxKnownName]byte
	if len(name) <= maxKnownName {
		lower := appendLower(buf[:0], name)
		if index := staticNames[string(lower)]; index > 0 {
			return appendText(appendInteger(dst, 0, 4, index), value)
		}
	}
	dst = appendInteger(append(dst, 0), 0, 7, len(name))
	return appendText(appendLower(dst, name), value)
}

// maxKnownName is the length of the longest name in the static table.
const maxKnownName = len("access-control-allow-origin")

// appendLower appends a name in lower case.
func appendLower(dst, name []byte) []byte {
	at := len(dst)
	dst = append(dst, name...)
	for i := at; i < len(dst); i++ {
		if c := dst[i]; 'A' <= c && c <= 'Z' {
			dst[i] = c | 0x20
		}
	}
	return dst
}

// AppendLower appends a string in lower case, with so many bits of its length beside
// those of first.
func AppendLower(dst []byte, first byte, prefix int, name []byte) []byte {
	return appendLower(appendInteger(dst, first, prefix, len(name)), name)
}

// AppendText appends a string as it is (RFC 7541 §5.2), as QPACK has them too.
func AppendText(dst, text []byte) []byte { return appendText(dst, text) }

// AppendInteger appends an integer with so many bits beside those of first (§5.1).
func AppendInteger(dst []byte, first byte, prefix, n int) []byte {
	return appendInteger(dst, first, prefix, n)
}

// Lower appends a name in lower case.
func Lower(dst, name []byte) []byte { return appendLower(dst, name) }

// appendText appends a string as it is (RFC 7541 §5.2).
func appendText(dst, text []byte) []byte {
	return append(appendInteger(dst, 0, 7, len(text)), text...)
}

// appendInteger appends one with so many bits beside those of first (§5.1).
func appendInteger(dst []byte, first byte, prefix, n int) []byte {
	most := 1<<prefix - 1
	if n < most {
		return append(dst, first|byte(n)) //nolint:gosec // G115: less than most
	}
	dst = append(dst, first|byte(most)) //nolint:gosec // G115: of 7 bits
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n)) //nolint:gosec // G115: less than 0x80
}

// The indexes of the static table that are used by themselves.
const (
	indexAuthority = 1
	indexGET       = 2
	indexPOST      = 3
	indexMethod    = 2
	indexPath      = 4
	indexHTTP      = 6
	indexHTTPS     = 7
	indexStatus    = 8
	indexLength    = 28
	indexCookie    = 32
)

// appendStatus appends the status of a response.
func appendStatus(dst []byte, status int) []byte {
	for i := indexStatus; i < indexStatus+7; i++ {
		if text := static[i-1].value; len(text) == 3 && int(text[0]-'0')*100+int(text[1]-'0')*10+int(text[2]-'0') == status {
			return append(dst, 0x80|byte(i))
		}
	}
	dst = append(appendInteger(dst, 0, 4, indexStatus), 3)
	return strconv.AppendInt(dst, int64(status), 10)
}

// isConnectionField lists the fields that HTTP/2 must not have (RFC 9113 §8.2.2).
// TE is judged by itself.
func isConnectionField(id message.ID, name []byte) bool {
	switch id {
	case message.Connection, message.TransferEncoding, message.KeepAlive, message.Upgrade, message.HTTP2Settings:
		return true
	case message.ProxyAny:
		return message.EqualFold(name, "proxy-connection")
	}
	return false
}

// Sends reports whether a field of a response is sent: it isn't dropped, nor one that a
// connection of HTTP/1 alone has.
func Sends(r *message.Response, f *message.Field) bool {
	return !f.Dropped && !r.Without.Has(f.ID) && !isConnectionField(f.ID, f.Name)
}

// AppendResponse appends the head of a response: the fields that aren't dropped, and
// the length where it is known and no field has it.
func AppendResponse(dst []byte, r *message.Response) []byte {
	dst = appendStatus(dst, r.Status)
	sized := false
	for i := range r.Header {
		f := &r.Header[i]
		switch {
		case !Sends(r, f):
			continue
		case f.ID == message.ContentLength:
			sized = true
		}
		dst = AppendField(dst, f.Name, f.Value)
	}
	if !sized && r.Length >= 0 && r.Status >= 200 {
		dst = appendLength(dst, r.Length)
	}
	return dst
}

func appendLength(dst []byte, length int64) []byte {
	var buf [20]byte
	return appendText(appendInteger(dst, 0, 4, indexLength), strconv.AppendInt(buf[:0], length, 10))
}

// AppendRequest appends the head of a request: the fields that aren't dropped, but
// cookies in crumbs (RFC 9113 §8.2.3). base stands before the path; authority is
// that of a request that has none.
func AppendRequest(dst []byte, r *message.Sent, scheme, base, authority string) []byte {
	switch string(r.Method) {
	case "GET":
		dst = append(dst, 0x80|indexGET)
	case "POST":
		dst = append(dst, 0x80|indexPOST)
	default:
		dst = appendText(appendInteger(dst, 0, 4, indexMethod), r.Method)
	}
	if scheme == "https" {
		dst = append(dst, 0x80|indexHTTPS)
	} else {
		dst = append(dst, 0x80|indexHTTP)
	}
	dst = appendInteger(dst, 0, 4, indexPath)
	if r.Form == message.AsteriskForm {
		base = ""
	}
	dst = append(append(append(appendInteger(dst, 0, 7, len(base)+len(r.Path)+len(r.Query)), base...), r.Path...), r.Query...)
	dst = appendInteger(dst, 0, 4, indexAuthority)
	if len(r.Authority) > 0 {
		dst = appendText(dst, r.Authority)
	} else {
		dst = append(appendInteger(dst, 0, 7, len(authority)), authority...)
	}
	for i := range r.Header {
		if f := &r.Header[i]; !f.Dropped && !r.Without.Has(f.ID) {
			dst = appendRequestField(dst, f)
		}
	}
	for i := range r.Own {
		dst = appendRequestField(dst, &r.Own[i])
	}
	if r.Continue {
		dst = AppendField(dst, []byte("expect"), []byte("100-continue"))
	}
	if r.Trailers {
		dst = AppendField(dst, []byte("te"), []byte("trailers"))
	}
	return dst
}

// appendRequestField appends a field, unless HTTP/2 has it otherwise.
func appendRequestField(dst []byte, f *message.Field) []byte {
	switch {
	case isConnectionField(f.ID, f.Name), f.ID == message.Host, f.ID == message.TE:
		return dst
	case f.ID == message.Unknown && message.EqualFold(f.Name, "cookie"):
		return appendCrumbs(dst, f.Value)
	}
	return AppendField(dst, f.Name, f.Value)
}

// appendCrumbs appends the cookies of one field as a field each.
func appendCrumbs(dst, cookies []byte) []byte {
	for {
		end := 0
		for end < len(cookies) && cookies[end] != ';' {
			end++
		}
		dst = appendText(appendInteger(dst, 0, 4, indexCookie), message.Trim(cookies[:end]))
		if end == len(cookies) {
			return dst
		}
		cookies = cookies[end+1:]
	}
}

// AppendTrailer appends the fields of a trailer section that may stand in one. There
// may be none: then nothing is appended.
func AppendTrailer(dst []byte, trailer message.Header) []byte {
	for i := range trailer {
		if trailer[i].MayTrail() {
			dst = AppendField(dst, trailer[i].Name, trailer[i].Value)
		}
	}
	return dst
}
