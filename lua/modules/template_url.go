package modules

import (
	"html"
	"strings"
)

// urlPlace is how far a URL has come, as browsers read it.
type urlPlace uint8

const (
	placeStart urlPlace = iota // nothing is there
	placeRoot                  // one slash: another one would make what follows a host
	placeHost                  // behind a scheme, or the slashes before a host
	placeName                  // within a host
	placePath                  // behind the host, or where none can come any more
	placeCode                  // behind a scheme that may run something
)

// placeIn says how far a URL has come that begins with text, which has no references to
// characters any more.
func placeIn(text string) urlPlace {
	head := urlHead(text)
	scheme := strings.IndexAny(head, ":/?#")
	switch {
	case head == "":
		return placeStart
	case !safeScheme(head):
		return placeCode
	case scheme >= 0 && head[scheme] == ':':
		if head = head[scheme+1:]; head == "" {
			return placeHost
		}
	case head == "/":
		return placeRoot
	case !strings.HasPrefix(head, "//"):
		return placePath
	}
	switch host := strings.TrimLeft(head, "/"); {
	case host == "":
		return placeHost
	case strings.ContainsAny(host, "/?#"):
		return placePath
	}
	return placeName
}

// urlHead is the beginning of a URL as browsers read it: without blanks before it, tabs
// and line ends, with \ for what it means there.
func urlHead(text string) string {
	text = strings.TrimLeftFunc(text[:min(len(text), templateMaxScheme)], func(r rune) bool { return r <= ' ' })
	return strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(text)
}

// path writes a value as a part of the path of a URL, or of its host where the template
// says that one stands there. No value, nor the absence of one, makes a host of what the
// template has as a path.
func (w *templateWriter) path(text string, n *templateNode) {
	sofar := w.out[max(0, len(w.out)-templateMaxScheme):]
	begin := strings.LastIndexByte(string(sofar), n.quote) + 1
	w.work(5 + len(sofar)/64)
	place := placePath // of one so long, which has a path unless it is a host's name throughout
	if begin > 0 || len(sofar) < templateMaxScheme {
		place = placeIn(html.UnescapeString(string(sofar[begin:])))
	} else if n.host {
		place = placeName
	}
	first := ""
	switch {
	case place == placeName && (text == "" || text[0] == '/' && (n.named || !n.host)):
		// the host has ended
	case place == placeCode, (place == placeHost || place == placeName) && !n.host:
		w.write(unsafeURL)
		return
	case place == placeHost, place == placeName:
		w.percent(text, queryBytes)
		return
	case place == placeRoot && text == "":
		first = "." // or another slash would follow the first
	case place == placeRoot && text[0] == '/':
		first, text = "%2F", text[1:]
	case place == placeStart && strings.HasPrefix(text, "//"):
		first, text = "/%2F", text[2:]
	}
	w.write(first)
	w.percent(text, pathBytes)
}

// safeScheme reports whether a URL has no scheme, or one that runs nothing.
func safeScheme(url string) bool {
	begin := url[:min(len(url), templateMaxScheme)]
	i := strings.IndexAny(begin, ":/?#")
	switch {
	case i < 0:
		return len(begin) == len(url)
	case begin[i] != ':':
		return true
	}
	switch strings.ToLower(begin[:i]) {
	case "http", "https", "mailto", "tel":
		return true
	}
	return false
}

// templateMaxScheme is how far a scheme is looked for, in bytes.
const templateMaxScheme = 4 << 10
