package exchange

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// Hops counts how often a request has come from scripts of this process
// through others, or itself, back to it. The count is an element of the field
// X-Gateway-Hops, "process-count-signature", beside those of other processes:
// nobody else can make one, each process believes its own only, and passes the
// others on. So a circle through several gateways ends too, without a secret
// that they share.
type Hops struct {
	process string // of this process, as its elements begin
	key     [32]byte
}

// HopsField is the field; whatever carries it has been caused by a script.
const HopsField = fetch.HopsField

const (
	// maxHops is how many requests of scripts may be nested.
	maxHops = 5
	// maxHopsField bounds the elements of other processes that are passed on.
	maxHopsField = 1 << 10
	signature    = 16 // bytes
)

// NewHops returns what counts the hops of this process.
func NewHops() *Hops {
	h := &Hops{}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	_, _ = rand.Read(h.key[:])
	h.process = hex.EncodeToString(id[:])
	return h
}

// element is what says that count requests are nested.
func (h *Hops) element(count int) string {
	text := h.process + "-" + strconv.Itoa(count)
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(text))
	return text + "-" + hex.EncodeToString(mac.Sum(nil)[:signature])
}

// First is the field of a request that no other has caused.
func (h *Hops) First() string { return h.element(1) }

// read returns the count in a header, 0 for none, and the elements of others.
func (h *Hops) read(header message.Header) (count int, others string) {
	var rest strings.Builder
	for i := range header {
		if header[i].ID != message.XGatewayHops {
			continue
		}
		for e, list := message.NextToken(header[i].Value); e != nil; e, list = message.NextToken(list) {
			text := string(e)
			if strings.HasPrefix(text, h.process+"-") {
				count = max(count, h.verify(text))
			} else if isElement(text) && rest.Len()+len(text) < maxHopsField {
				rest.WriteString(", ")
				rest.WriteString(text)
			}
		}
	}
	return count, rest.String()
}

// verify returns the count of an element of this process; 0 if it is none.
func (h *Hops) verify(element string) int {
	number, _, _ := strings.Cut(element[len(h.process)+1:], "-")
	count, err := strconv.Atoi(number)
	if err != nil || count < 1 || count > maxHops+1 || !hmac.Equal([]byte(h.element(count)), []byte(element)) {
		return 0
	}
	return count
}

func isElement(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '-' {
			return false
		}
	}
	return len(text) <= 100
}

// next returns the field of what a request with this header causes.
func (h *Hops) next(header message.Header) string {
	count, others := h.read(header)
	return h.element(count+1) + others
}

// checkLoops refuses what has been through this gateway before, or has come
// back to its scripts too often.
func (x *exchange) checkLoops() error {
	if x.Generation.Via != "" && hasPassed(x.Message.Header, x.Generation.Via) {
		return faultLoop
	}
	if x.hopped = x.Message.Header.Has(message.XGatewayHops); !x.hopped {
		return nil
	}
	if count, _ := x.plane.Hops.read(x.Message.Header); count > maxHops {
		return faultHops
	}
	return nil
}

// Hops is lua/modules.Hopping's, for the requests of this one's scripts.
func (x *exchange) Hops() string { return x.plane.Hops.next(x.Message.Header) }

// sendHops passes the count on to a target, through which the request may come
// back; only what a script has caused has one.
func (x *exchange) sendHops() {
	if x.hopped {
		x.send(hopsName, []byte(x.Hops()))
	}
}

var hopsName = []byte(HopsField)
