package plot

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestText bounds what a tooltip or a description says of one name, in bytes.
const longestText = 200

// clean takes out of s what isn't text: control characters, and those that turn
// the direction of the text around them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// clip shortens s to width pixels at a font size, as far as that can be told
// without the font.
func clip(s string, width, size float64) string {
	ellipsis := runeWidth('…') * size
	used, fits := 0.0, 0
	for i, r := range s {
		used += runeWidth(r) * size
		if used > width {
			return ending(s[:fits], ellipsis <= width)
		}
		if used+ellipsis <= width {
			fits = i + utf8.RuneLen(r)
			if r == utf8.RuneError {
				fits = i + 1 // a byte that isn't UTF-8, or the start of a U+FFFD; clean mends both
			}
		}
	}
	return s
}

func ending(s string, ellipsis bool) string {
	if !ellipsis {
		return ""
	}
	return strings.TrimRight(s, " ") + "…"
}

// shorten bounds s for places that have no width.
func shorten(s string) string {
	if len(s) <= longestText {
		return s
	}
	return strings.ToValidUTF8(s[:longestText], "") + "…"
}

// textWidth is about how many pixels s takes at a font size, shortened, and
// rather too many than too few.
func textWidth(s string, size float64) float64 {
	width := 0.0
	for _, r := range shorten(s) {
		width += runeWidth(r)
	}
	return width * size
}

// runeWidth is in units of the font size, as in the wider ones of the usual fonts.
func runeWidth(r rune) float64 {
	switch {
	case strings.ContainsRune("ijlI.,:;'|!", r):
		return 0.35
	case strings.ContainsRune(" ()[]{}/\\rtf-", r):
		return 0.42
	case strings.ContainsRune("mwMWGOQ@%", r):
		return 0.92
	case r == '…':
		return 1
	case r < 0x80 && unicode.IsUpper(r):
		return 0.72
	case r < 0x1100:
		return 0.63
	case r >= 0x1f000:
		return 1.4
	}
	return 1.05
}

// monoWidth is runeWidth for a font whose letters are all as wide.
const monoWidth = 0.61

// clipMono is clip for such a font. It leaves out what would be a letter or two.
func clipMono(s string, width, size float64) string {
	columns, fits := 0.0, 0
	room := width / (monoWidth * size)
	for i, r := range s {
		if columns+1 <= room {
			fits = i
		}
		columns++
		if r >= 0x1100 {
			columns++
		}
	}
	if columns <= room {
		return s
	}
	if room < 4 {
		return ""
	}
	return s[:fits] + "…"
}
