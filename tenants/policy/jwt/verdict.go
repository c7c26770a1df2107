package jwt

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	tokens "github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Bounds of what is kept of a token.
const (
	maxClaims = 64      // that later policies are left
	maxDepth  = 4       // of objects in each other
	maxField  = 4 << 10 // bytes of a field
)

// verdict is what is known of a token that is good. It never changes.
type verdict struct {
	user   []byte
	fields [][]byte // for each of the policy's; nil: the token hasn't that claim
	claims map[string][]byte
	until  int64 // in nanoseconds since 1970
}

// Value is policy.Values's.
func (v *verdict) Value(name string) []byte { return v.claims[name] }

func (g *guard) verdictOf(t *tokens.Token) *verdict {
	v := &verdict{fields: make([][]byte, len(g.fields)), claims: map[string][]byte{}}
	if value, ok := t.Claim(g.user); ok {
		v.user = fieldText(value, policy.MaxValue)
	}
	for i := range g.fields {
		if value, ok := t.Claim(g.fields[i].claim); ok {
			v.fields[i] = fieldText(value, maxField)
		}
	}
	v.add("", t.Claims(), maxDepth)
	return v
}

// add keeps the claims of an object, by their paths, in the order of their names.
func (v *verdict) add(path string, object map[string]any, depth int) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := object[name]
		if inner, ok := value.(map[string]any); ok && depth > 1 {
			v.add(path+name+".", inner, depth-1)
			continue
		}
		if text := fieldText(value, policy.MaxValue); text != nil && len(v.claims) < maxClaims && len(path)+len(name) <= policy.MaxValue {
			v.claims[path+name] = text
		}
	}
}

// fieldText is a claim as the value of a field, or nil where it can't be one. The
// elements of a list have commas between them; one that has a comma itself is left out,
// since it would be read as two.
func fieldText(value any, most int) []byte {
	text, ok := textOf(value)
	if list, isList := value.([]any); isList {
		var words []string
		for _, element := range list {
			if word, ok := textOf(element); ok && word != "" && !strings.Contains(word, ",") && isFieldText(word) {
				words = append(words, word)
			}
		}
		text, ok = strings.Join(words, ","), len(words) > 0
	}
	if !ok || text == "" || len(text) > most || !isFieldText(text) {
		return nil
	}
	return []byte(text)
}

// isFieldText reports whether a text arrives as it is in a field.
func isFieldText(text string) bool {
	return message.IsFieldText([]byte(text)) && string(message.Trim([]byte(text))) == text
}

// textOf is a claim that is no list and no object.
func textOf(value any) (text string, ok bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case bool:
		return strconv.FormatBool(value), true
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return strconv.FormatInt(int64(value), 10), true
		}
		return strconv.FormatFloat(value, 'g', -1, 64), true
	}
	return "", false
}
