package cause

import "unicode/utf8"

// MaxShort is how long Short's texts are at most, in bytes, before what says that
// there was more.
const MaxShort = 512

// Short is Text for errors that others have a part in, who say as much as they
// like: a script, an authority, a server.
func Short(err error) string { return Clip(Text(err), MaxShort) }

// Clip returns at most so many bytes of a text that others have chosen, and "…"
// where there was more. It cuts no character in two.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > max(0, most-utf8.UTFMax) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
