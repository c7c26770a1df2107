package http1

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// AppendRequest appends a whole request head: its fields, and those by which the
// connection knows where the body ends, and what is asked of it. base stands before
// the path; authority is that of a request that has none.
func AppendRequest(dst []byte, r *message.Sent, base, authority string) []byte {
	dst = append(append(dst, r.Method...), ' ')
	if r.Form != message.AsteriskForm {
		dst = append(dst, base...)
	}
	dst = append(append(append(dst, r.Path...), r.Query...), " HTTP/1.1\r\nHost: "...)
	if len(r.Authority) > 0 {
		dst = append(dst, r.Authority...)
	} else {
		dst = append(dst, authority...)
	}
	dst = append(dst, '\r', '\n')
	for i := range r.Header {
		if f := &r.Header[i]; !f.Dropped && !r.Without.Has(f.ID) {
			dst = message.AppendField(dst, f.Name, f.Value)
		}
	}
	for i := range r.Own {
		dst = message.AppendField(dst, r.Own[i].Name, r.Own[i].Value)
	}
	if r.Length == message.Unsized {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if r.Continue {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	return append(dst, requestOptions(r)...)
}

// requestOptions is what ends at this hop, and the empty line.
func requestOptions(r *message.Sent) string {
	switch {
	case r.UpgradeAsked && r.Trailers:
		return "TE: trailers\r\nConnection: Upgrade, TE\r\n\r\n"
	case r.UpgradeAsked:
		return "Connection: Upgrade\r\n\r\n"
	case r.Trailers:
		return "TE: trailers\r\nConnection: TE\r\n\r\n"
	}
	return "\r\n"
}

// AppendResponse appends a whole response head for a client of HTTP/1.minor: its
// fields, and those by which the connection knows where the body ends, and whether
// another message follows. A nil reason is the usual one.
func AppendResponse(dst []byte, r *message.Response, minor uint8, chunked, closing bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(strconv.AppendInt(dst, int64(r.Status), 10), ' ')
	if r.Reason == nil {
		dst = append(dst, message.StatusText(r.Status)...)
	} else {
		dst = append(dst, r.Reason...)
	}
	dst = append(dst, '\r', '\n')
	without, sent := r.Without, message.IDs(0)
	if !chunked {
		without = without.With(message.Trailer)
	}
	for i := range r.Header {
		if f := &r.Header[i]; !f.Dropped && !without.Has(f.ID) {
			sent = sent.With(f.ID)
			dst = message.AppendField(dst, f.Name, f.Value)
		}
	}
	switch {
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case !sent.Has(message.ContentLength) && r.Length >= 0:
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), r.Length, 10)
		dst = append(dst, '\r', '\n')
	}
	return append(dst, connectionLine(minor, closing, sent.Has(message.Upgrade))...)
}

// connectionLine is the Connection field, if there is one, and the empty line.
func connectionLine(minor uint8, closing, upgrade bool) string {
	switch {
	case closing && upgrade:
		return "Connection: close, Upgrade\r\n\r\n"
	case closing:
		return "Connection: close\r\n\r\n"
	case minor == 0 && upgrade:
		return "Connection: keep-alive, Upgrade\r\n\r\n"
	case minor == 0:
		return "Connection: keep-alive\r\n\r\n"
	case upgrade:
		return "Connection: Upgrade\r\n\r\n"
	}
	return "\r\n"
}

// AppendChunkSize appends the line that starts a chunk of n > 0 bytes.
func AppendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16) //nolint:gosec // G115: n is positive
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the last chunk and the trailer section. Fields that
// must not stand in a trailer are left out.
func AppendLastChunk(dst []byte, trailer message.Header) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailer {
		if trailer[i].MayTrail() {
			dst = message.AppendField(dst, trailer[i].Name, trailer[i].Value)
		}
	}
	return append(dst, '\r', '\n')
}
