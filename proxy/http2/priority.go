package http2

import "bytes"

// The priorities of RFC 9218 §4. A client that says nothing of them gets its
// responses in turn: it may wait for any of them.
const (
	DefaultUrgency = 3
	leastUrgency   = 7
)

// PriorityOf reads the value of the field Priority: a dictionary of structured fields,
// of which two keys are known, and anything else is ignored.
func PriorityOf(value []byte) (urgency uint8, incremental bool) {
	urgency = DefaultUrgency
	for len(value) > 0 {
		var member []byte
		member, value, _ = bytes.Cut(value, []byte{','})
		member, _, _ = bytes.Cut(bytes.Trim(member, " \t"), []byte{';'})
		switch {
		case len(member) == 3 && member[0] == 'u' && member[1] == '=' && member[2] >= '0' && member[2] <= '0'+leastUrgency:
			urgency = member[2] - '0'
		case string(member) == "i", string(member) == "i=?1":
			incremental = true
		case string(member) == "i=?0":
			incremental = false
		}
	}
	return urgency, incremental
}
