package syntax

// kind is a kind of token. Those of one character are that character.
type kind int32

const (
	tokenEOF kind = iota + 256
	tokenName
	tokenNumber
	tokenString
	tokenConcat // ..
	tokenDots   // ...
	tokenEqual
	tokenNotEqual
	tokenLessEqual
	tokenGreaterEqual
	tokenLabel // ::

	tokenAnd
	tokenBreak
	tokenDo
	tokenElse
	tokenElseIf
	tokenEnd
	tokenFalse
	tokenFor
	tokenFunction
	tokenIf
	tokenIn
	tokenLocal
	tokenNil
	tokenNot
	tokenOr
	tokenRepeat
	tokenReturn
	tokenThen
	tokenTrue
	tokenUntil
	tokenWhile
)

var keywords = map[string]kind{
	"and": tokenAnd, "break": tokenBreak, "do": tokenDo, "else": tokenElse, "elseif": tokenElseIf,
	"end": tokenEnd, "false": tokenFalse, "for": tokenFor, "function": tokenFunction, "if": tokenIf,
	"in": tokenIn, "local": tokenLocal, "nil": tokenNil, "not": tokenNot, "or": tokenOr,
	"repeat": tokenRepeat, "return": tokenReturn, "then": tokenThen, "true": tokenTrue,
	"until": tokenUntil, "while": tokenWhile,
}

// spelling is how messages write a kind of token.
func (k kind) spelling() string {
	switch k {
	case tokenEOF:
		return "<eof>"
	case tokenName:
		return "<name>"
	case tokenNumber:
		return "<number>"
	case tokenString:
		return "<string>"
	case tokenConcat:
		return ".."
	case tokenDots:
		return "..."
	case tokenEqual:
		return "=="
	case tokenNotEqual:
		return "~="
	case tokenLessEqual:
		return "<="
	case tokenGreaterEqual:
		return ">="
	case tokenLabel:
		return "::"
	}
	for word, keyword := range keywords {
		if keyword == k {
			return word
		}
	}
	return string(rune(k))
}

// token is one token: text is how it stands in the source, which is the name
// of a name; value is what a string means.
type token struct {
	Pos
	kind   kind
	text   string
	value  string
	number float64
}

func (t *token) near() string {
	if t.kind == tokenEOF {
		return "<eof>"
	}
	return clip(t.text)
}
