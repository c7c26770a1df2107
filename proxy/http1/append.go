package http1

import (
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// AppendChunkSize appends the line that starts a chunk of n > 0 bytes.
func AppendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16) //nolint:gosec // G115: n is positive
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the last chunk and the trailer section. Fields that
// must not stand in a trailer are left out (RFC 9110 §6.5.1): a receiver that
// merges them would change how the message is framed, routed or trusted.
func AppendLastChunk(dst []byte, trailer message.Header) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailer {
		if trailer[i].ID == message.Unknown && !trailer[i].Dropped && !isSensitive(trailer[i].Name) {
			dst = message.AppendField(dst, trailer[i].Name, trailer[i].Value)
		}
	}
	return append(dst, '\r', '\n')
}

func isSensitive(name []byte) bool {
	return message.EqualFold(name, "authorization") || message.EqualFold(name, "cookie") || message.EqualFold(name, "set-cookie") ||
		message.EqualFold(name, "x-real-ip")
}
