package modules

import "strings"

// escaped writes a value, as the place where it stands asks for.
func (w *templateWriter) escaped(text string, n *templateNode) {
	switch n.escape {
	case templateHTML:
		w.html(text)
	case templateURL:
		if !safeScheme(text) {
			w.write(unsafeURL)
			return
		}
		w.percent(text, urlBytes)
	case templatePath:
		w.path(text, n)
	case templateQuery:
		w.percent(text, queryBytes)
	default:
		w.write(text)
	}
}

// unsafeURL stands in the place of a URL whose scheme may run a program.
const unsafeURL = "#unsafe-url"

// html writes text as it may stand in HTML. A NUL, which browsers may take for nothing,
// becomes U+FFFD.
func (w *templateWriter) html(text string) {
	for text != "" {
		part := text[:min(len(text), templateChunk)]
		w.work(1)
		i := strings.IndexAny(part, "&<>\"'\x00")
		if i < 0 {
			w.work(len(part) / 16)
			w.write(part)
			text = text[len(part):]
			continue
		}
		w.work(i / 16)
		w.write(text[:i])
		switch text[i] {
		case '&':
			w.write("&amp;")
		case '<':
			w.write("&lt;")
		case '>':
			w.write("&gt;")
		case '"':
			w.write("&#34;")
		case '\'':
			w.write("&#39;")
		default:
			w.write("\uFFFD")
		}
		text = text[i+1:]
	}
}

// The bytes that stand for themselves in a URL, besides letters and digits: as a whole,
// where % begins what is escaped already, in its path, and in its query.
const (
	urlBytes   = "-._~/:?#[]@!$*,;=%"
	pathBytes  = "-._~/"
	queryBytes = "-._~"
)

// percent writes text as a part of a URL in an attribute: & and quotes are escaped for
// the URL, so that nothing is left to be escaped for HTML.
func (w *templateWriter) percent(text, plain string) {
	for text != "" {
		part := text[:min(len(text), templateChunk)]
		text = text[len(part):]
		w.work(len(part) / 4)
		w.percentPart(part, plain)
	}
}

func (w *templateWriter) percentPart(text, plain string) {
	const digits = "0123456789ABCDEF"
	begin := 0
	for i := range len(text) {
		c := text[i]
		if isLetter(c) || '0' <= c && c <= '9' || strings.IndexByte(plain, c) >= 0 {
			continue
		}
		w.write(text[begin:i])
		if begin = i + 1; c == '&' && plain == urlBytes {
			w.write("&amp;")
			continue
		}
		w.grow(3)
		w.out = append(w.out, '%', digits[c>>4], digits[c&15])
		w.work(1)
	}
	w.write(text[begin:])
}
