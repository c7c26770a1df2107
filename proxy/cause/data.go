package cause

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"
)

// ofData words what is wrong with a text that was to be read as something.
func ofData(err error) string {
	switch e := err.(type) { //nolint:errorlint // each error of the chain is looked at
	case *json.SyntaxError:
		if strings.Contains(e.Error(), "unexpected end") {
			return "the JSON ends too early"
		}
		return fmt.Sprintf("it is not JSON at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("the JSON has a %s where something else is expected", e.Value)
	case base64.CorruptInputError:
		return fmt.Sprintf("it is not base64 at byte %d", int64(e))
	case hex.InvalidByteError:
		return fmt.Sprintf("%q is not a hexadecimal digit", byte(e))
	case url.EscapeError:
		return fmt.Sprintf("%q is not an escape, expected %% and two hexadecimal digits", string(e))
	case url.InvalidHostError:
		return fmt.Sprintf("%q can't be in a host", string(e))
	case *time.ParseError:
		return strconv.Quote(e.Value) + " is not such a time"
	case *syntax.Error:
		return ofPattern(e)
	}
	switch err {
	case hex.ErrLength:
		return "it has an odd number of hexadecimal digits"
	case strconv.ErrSyntax:
		return "it is not a number"
	case strconv.ErrRange:
		return "it is too large"
	}
	return ""
}

// ofPattern words what is wrong with a regular expression.
func ofPattern(e *syntax.Error) string {
	words := map[syntax.ErrorCode]string{
		syntax.ErrInvalidCharClass:      "a class of characters that is none",
		syntax.ErrInvalidCharRange:      "a range of characters that is none",
		syntax.ErrInvalidEscape:         "an escape that isn't known",
		syntax.ErrInvalidNamedCapture:   "a name of a group that is none",
		syntax.ErrInvalidPerlOp:         "an operator that isn't supported",
		syntax.ErrInvalidRepeatOp:       "a repetition of a repetition",
		syntax.ErrInvalidRepeatSize:     "a repetition that is too large",
		syntax.ErrInvalidUTF8:           "bytes that are not UTF-8",
		syntax.ErrMissingBracket:        "a [ without its ]",
		syntax.ErrMissingParen:          "a ( without its )",
		syntax.ErrMissingRepeatArgument: "a repetition of nothing",
		syntax.ErrTrailingBackslash:     "a backslash at its end",
		syntax.ErrUnexpectedParen:       "a ) without its (",
		syntax.ErrNestingDepth:          "too many levels",
		syntax.ErrLarge:                 "too many parts",
	}[e.Code]
	if words == "" {
		words = "something that isn't supported"
	}
	if e.Expr == "" {
		return "the pattern has " + words
	}
	return fmt.Sprintf("the pattern has %s: %q", words, e.Expr)
}
