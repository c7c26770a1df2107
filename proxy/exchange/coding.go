package exchange

import (
	"bytes"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// codingID is a content coding (RFC 9110 §8.4.1).
type codingID uint8

const (
	identity codingID = iota
	gzipCoding
	brotliCoding
	zstdCoding
	codingCount
)

var codingNames = [codingCount][]byte{[]byte("identity"), []byte("gzip"), []byte("br"), []byte("zstd")}

func (c codingID) name() []byte { return codingNames[c] }

// codingNamed is identity for a name of none.
func codingNamed(name string) codingID {
	for id := gzipCoding; id < codingCount; id++ {
		if name == string(codingNames[id]) {
			return id
		}
	}
	return identity
}

// accepted chooses the coding of those offered that a client accepts most, by
// Accept-Encoding (RFC 9110 §12.5.3), and of several the first; identity if there is
// none, or the client prefers that.
func accepted(h message.Header, offered []codingID) codingID {
	if len(offered) == 0 {
		return identity
	}
	var weights [codingCount]int16 // in thousandths, more by 1; 0: it isn't named
	others, named := int16(0), false
	for i := range h {
		if h[i].ID != message.AcceptEncoding {
			continue
		}
		for token, rest := message.NextToken(h[i].Value); token != nil; token, rest = message.NextToken(rest) {
			named = true
			coding, parameter, _ := bytes.Cut(token, []byte{';'})
			coding = bytes.TrimSpace(coding)
			if len(coding) == 1 && coding[0] == '*' {
				others = weightOf(parameter)
				continue
			}
			for id := identity; id < codingCount; id++ {
				if weights[id] == 0 && message.EqualFold(coding, string(codingNames[id])) {
					weights[id] = weightOf(parameter)
				}
			}
		}
	}
	if !named {
		return identity
	}
	best, most := identity, max(1, weights[identity])
	for _, id := range offered {
		weight := weights[id]
		if weight == 0 {
			weight = others
		}
		if weight > most || weight == most && weight > 1 && best == identity {
			best, most = id, weight
		}
	}
	return best
}

// weightOf reads a weight (RFC 9110 §12.4.2), as thousandths, more by 1. What can't be
// read is as none: 1.
func weightOf(parameter []byte) int16 {
	const whole = 1001
	q := bytes.TrimSpace(parameter)
	if len(q) < 3 || q[0]|0x20 != 'q' || q[1] != '=' || q[2] != '0' && q[2] != '1' || len(q) > 3 && q[3] != '.' || len(q) > 7 {
		return whole
	}
	thousandths, unit := int16(q[2]-'0')*1000, int16(100)
	for _, c := range q[min(len(q), 4):] {
		if c < '0' || c > '9' {
			return whole
		}
		thousandths += int16(c-'0') * unit
		unit /= 10
	}
	return min(thousandths, 1000) + 1
}
