package exchange

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// begin hands the head of the final response to the stream: the status, the
// header in the response, and the length of the content, message.Unsized where it
// isn't known. codable content may be compressed. Nothing of it can be changed any
// more.
func (x *exchange) begin(length int64, bodiless, codable bool) {
	x.amend(x.Status, x.response.Header)
	if codable {
		x.negotiate(x.Status, *x.response.Header, length, bodiless)
	}
	x.completeHeader()
	if x.coding.recoded || x.Status == 204 { // whatever it was
		length = message.Unsized
	}
	x.head.Status, x.head.Header, x.head.Length, x.head.Bodiless = x.Status, *x.response.Header, length, bodiless
	if x.upload.running() || !x.upload.complete() {
		x.last = true
	}
	x.state = answering
	x.stream.Begin(&x.head, x.last)
}

// completeHeader makes the header of the response the one that this client gets:
// without what ends at this hop, what isn't true any more, and what only the
// gateway may say, and with what it has to say.
func (x *exchange) completeHeader() {
	h := x.response.Header
	for i := range *h {
		f := &(*h)[i]
		switch {
		case f.ID == message.ContentLength:
			f.Dropped = x.coding.recoded || x.Status == 204 || x.Status == 101 || !x.response.Target
		case f.ID == message.Upgrade:
			f.Dropped = !upgrades(x.Status)
		case f.Dropped:
		case isHopByHop(f.ID), f.ID == message.XRequestID, f.ID == message.XGatewayError,
			f.ID == message.Via && x.Generation.Via != "", f.ID == message.Vary && x.coding.varies,
			f.ID == message.Trailer && !x.response.Target: // the gateway's own have none
			f.Dropped = true
		case x.coding.recoded:
			x.recode(f)
		}
	}
	own := !x.response.Target
	if x.coding.recoded && x.Status != 304 {
		add(h, encodingName, gzipName)
	}
	if x.coding.varies {
		x.addValue(varyName, appendVary(x.values, *h))
	}
	if own && (len(x.response.Body) > 0 || x.response.Begun) && !h.Has(message.ContentType) {
		add(h, typeName, plainText)
	}
	if (own || x.Generation.AddDate && x.Status != 101) && h.Value(dateName) == nil {
		x.addValue(dateName, time.Now().UTC().AppendFormat(x.values, "Mon, 02 Jan 2006 15:04:05 GMT"))
	}
	if x.Code != "" && own {
		x.addValue(errorName, append(x.values, x.Code...))
	}
	add(h, idName, x.ID)
	if x.Generation.Via != "" && !own {
		x.addValue(viaName, appendVia(x.values, *h, x.call.Response.Version, x.Generation.Via))
	}
}

// The names of fields that the gateway adds, and values that are always the same.
var (
	allowName, retryName, typeName = []byte("Allow"), []byte("Retry-After"), []byte("Content-Type")
	encodingName, varyName         = []byte("Content-Encoding"), []byte("Vary")
	dateName, viaName              = []byte("Date"), []byte("Via")
	errorName, idName              = []byte("X-Gateway-Error"), []byte("X-Request-Id")
	lengthName                     = []byte("Content-Length")
	plainText, gzipName            = []byte("text/plain; charset=utf-8"), []byte("gzip")
)

func add(h *message.Header, name, value []byte) {
	*h = append(*h, message.Field{Name: name, Value: value})
}

// addValue adds a field whose value was appended to x.values.
func (x *exchange) addValue(name, values []byte) {
	add(x.response.Header, name, x.keepValue(values))
}

// keepValue returns what was appended to x.values, and keeps it until the end.
func (x *exchange) keepValue(values []byte) []byte {
	begin := len(x.values)
	x.values = values
	return values[begin:len(values):len(values)]
}
