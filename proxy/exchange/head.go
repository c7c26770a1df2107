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

// notPassedBack are the fields of responses that are each hop's, or the gateway's to
// write; Upgrade is one in most of them.
var notPassedBack = hopByHop | message.SetOf(message.XRequestID, message.XGatewayError)

// completeHeader makes the header of the response the one that this client gets:
// without what ends at this hop, what isn't true any more, and what only the
// gateway may say, and with what it has to say.
func (x *exchange) completeHeader() {
	h, own := x.response.Header, !x.response.Target || x.served.is
	x.head.Without = x.withheld(own)
	if x.coding.recoded {
		x.recode(*h)
		if x.Status != 304 {
			add(h, encodingName, x.takes.name())
		}
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
	if x.tellsOfHTTP3() && h.Value(altSvcName) == nil {
		add(h, altSvcName, x.Entrance.AltSvc)
	}
	if x.Generation.Via != "" && !own {
		x.addValue(viaName, appendVia(x.values, *h, x.call.Response.Version, x.Generation.Via))
	}
}

// tellsOfHTTP3 reports whether the client can come by HTTP/3 and has not.
func (x *exchange) tellsOfHTTP3() bool {
	return x.Client.Accepted != nil && x.Entrance.AltSvc != nil && !x.Client.ByHTTP3
}

// withheld are the fields that aren't passed on; own is a response of the gateway's.
func (x *exchange) withheld(own bool) message.IDs {
	w := notPassedBack
	if !upgrades(x.Status) {
		w = w.With(message.Upgrade)
	}
	if own || x.coding.recoded || x.Status == 204 || x.Status == 101 {
		w = w.With(message.ContentLength)
	}
	if own { // which has no trailers
		w = w.With(message.Trailer)
	}
	if x.Generation.Via != "" {
		w = w.With(message.Via)
	}
	if x.coding.varies {
		w = w.With(message.Vary)
	}
	return w
}

// The names of fields that the gateway adds, and values that are always the same.
var (
	allowName, retryName, typeName = []byte("Allow"), []byte("Retry-After"), []byte("Content-Type")
	encodingName, varyName         = []byte("Content-Encoding"), []byte("Vary")
	dateName, viaName              = []byte("Date"), []byte("Via")
	errorName, idName              = []byte("X-Gateway-Error"), []byte("X-Request-Id")
	lengthName, altSvcName         = []byte("Content-Length"), []byte("Alt-Svc")
	plainText                      = []byte("text/plain; charset=utf-8")
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
