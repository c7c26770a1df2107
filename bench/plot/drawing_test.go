package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// drawing is what a document says.
type drawing struct {
	width, height float64
	title, desc   string
	attributes    map[string]string // of svg
	texts         []text
	elements      map[string]int
}

type text struct {
	class, text string
	x, y        float64
}

// parse reads a document as strictly as XML asks, and fails on elements,
// attributes and coordinates that no plot has.
func parse(t *testing.T, svg string) *drawing {
	t.Helper()
	d := &drawing{elements: map[string]int{}}
	decoder := xml.NewDecoder(strings.NewReader(svg))
	var open []xml.StartElement
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the document isn't well-formed XML: %v\n%.2000s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Copy())
			d.start(t, token)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				d.say(open, string(token))
			}
		default:
			t.Fatalf("the document has a %T, expected elements and text", token)
		}
	}
	return d
}

func (d *drawing) start(t *testing.T, element xml.StartElement) {
	t.Helper()
	name := element.Name.Local
	d.elements[name]++
	if !slices.Contains([]string{"svg", "title", "desc", "style", "rect", "path", "text"}, name) {
		t.Fatalf("the document has an element %q", name)
	}
	attributes := map[string]string{}
	for _, attribute := range element.Attr {
		attributes[attribute.Name.Local] = attribute.Value
	}
	number := func(name string) float64 {
		if attributes[name] == "" {
			return 0
		}
		v, err := strconv.ParseFloat(attributes[name], 64)
		if err != nil || !(math.Abs(v) <= 1e5) {
			t.Fatalf("%s of <%s> is %q, expected pixels", name, element.Name.Local, attributes[name])
		}
		return v
	}
	switch name {
	case "svg":
		d.width, d.height, d.attributes = number("width"), number("height"), attributes
	case "text":
		d.texts = append(d.texts, text{class: attributes["class"], x: number("x"), y: number("y")})
	case "rect":
		if number("width") < 0 || number("height") < 0 || number("x") < 0 || number("x")+number("width") > d.width+0.1 || number("y")+number("height") > d.height+0.1 {
			t.Fatalf("a rectangle %v leaves the plot of %vx%v", attributes, d.width, d.height)
		}
	case "path":
		for _, field := range strings.FieldsFunc(attributes["d"], func(r rune) bool { return strings.ContainsRune("MLHVh ", r) }) {
			if v, err := strconv.ParseFloat(field, 64); err != nil || !(v >= 0 && v <= max(d.width, d.height)) {
				t.Fatalf("a path goes to %q, expected places in the plot of %vx%v", attributes["d"], d.width, d.height)
			}
		}
	}
}

func (d *drawing) say(open []xml.StartElement, s string) {
	switch name := open[len(open)-1].Name.Local; {
	case name == "title" && len(open) == 2:
		d.title += s
	case name == "desc":
		d.desc += s
	case name == "text":
		d.texts[len(d.texts)-1].text += s
	}
}

// ends are about where a text begins and ends, with the letters of a narrow font.
func (s *text) ends() (from, to float64) {
	width := 0.5 * 11 * float64(utf8.RuneCountInString(s.text))
	classes := strings.Fields(s.class)
	switch {
	case slices.Contains(classes, "e"):
		return s.x - width, s.x
	case slices.Contains(classes, "c"):
		return s.x - width/2, s.x + width/2
	}
	return s.x, s.x + width
}
