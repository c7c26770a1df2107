package plot

import (
	"encoding/xml"
	"math"
	"strconv"
	"strings"
)

// style names every colour twice, for light and dark: an <img> follows the
// reader's system and not the page around it, so that each plot has its own
// background. Everything hangs below a class of ours, as a style inside HTML
// reaches the whole page.
const style = `<style>
.ksplot{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:12px;max-width:100%;height:auto}
.ksplot .bg{fill:#fff}.ksplot text{fill:#1f2328}.ksplot .t{font-size:16px;font-weight:600}.ksplot .g{font-weight:600}
.ksplot .m{fill:#59636e}.ksplot .k{font-size:11px;fill:#59636e}.ksplot .w{stroke:#1f2328;fill:none}
.ksplot .v{stroke:#fff;stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
.ksplot .e{text-anchor:end}.ksplot .c{text-anchor:middle}
.ksplot .grid{stroke:#e3e7eb;fill:none}.ksplot .axis{stroke:#8b949e;fill:none}
.ksplot .bar{fill:#9fb0c3}.ksplot .hot{fill:#e8833a}
.ksplot .l{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.ksplot .p{stroke-width:6}
.ksplot .d1{stroke-dasharray:7 4}.ksplot .d2{stroke-dasharray:1 4}
.ksplot .s0{stroke:#c4510a}.ksplot .s1{stroke:#0b6bcb}.ksplot .s2{stroke:#15803d}.ksplot .s3{stroke:#a21caf}
.ksplot .s4{stroke:#8a6d00}.ksplot .s5{stroke:#0e7c86}.ksplot .s6{stroke:#d1245c}.ksplot .s7{stroke:#57606a}
.ksplot .f{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}
.ksplot .f0{fill:#f4a261}.ksplot .f1{fill:#8ec5ef}.ksplot .f2{fill:#9bd39b}.ksplot .f3{fill:#d9b3ea}
.ksplot .f4{fill:#efd26b}.ksplot .f5{fill:#84d2cd}.ksplot .f6{fill:#f3a6b8}.ksplot .f7{fill:#c9dc83}
.ksplot .f8{fill:#b0b8f5}.ksplot .f9{fill:#d9b38c}.ksplot .fo{fill:#d3d9df}
@media (prefers-color-scheme:dark){
.ksplot .bg{fill:#0d1117}.ksplot .v{stroke:#0d1117}.ksplot text{fill:#e6edf3}.ksplot .m,.ksplot .k{fill:#9198a1}.ksplot .w{stroke:#e6edf3}
.ksplot .grid{stroke:#242a32}.ksplot .axis{stroke:#6e7681}
.ksplot .bar{fill:#53667d}.ksplot .hot{fill:#d9722b}
.ksplot .s0{stroke:#f0883e}.ksplot .s1{stroke:#58a6ff}.ksplot .s2{stroke:#3fb950}.ksplot .s3{stroke:#d48cff}
.ksplot .s4{stroke:#d4b106}.ksplot .s5{stroke:#39c5cf}.ksplot .s6{stroke:#ff7b9c}.ksplot .s7{stroke:#9198a1}
.ksplot .f{fill:#10151c}
.ksplot .f0{fill:#d98a4b}.ksplot .f1{fill:#76aad2}.ksplot .f2{fill:#82b682}.ksplot .f3{fill:#ba98ca}
.ksplot .f4{fill:#ceb559}.ksplot .f5{fill:#6fb3ae}.ksplot .f6{fill:#cf8c9b}.ksplot .f7{fill:#a9ba6a}
.ksplot .f8{fill:#969fd6}.ksplot .f9{fill:#b89470}.ksplot .fo{fill:#9aa4ae}
}
</style>
`

// margin is left free on all sides.
const margin = 16.0

// canvas collects a document. Coordinates are pixels from the upper left.
type canvas struct{ out strings.Builder }

// newCanvas begins a document. Its title and desc are what a screen reader says,
// as it doesn't look into an image.
func newCanvas(width, height float64, title, desc string) *canvas {
	c := &canvas{}
	c.out.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" class="ksplot" role="img"`)
	c.number("width", width)
	c.number("height", height)
	c.out.WriteString(` viewBox="0 0 ` + pixels(width) + " " + pixels(height) + `">` + "\n<title>")
	c.escape(title)
	c.out.WriteString("</title>\n<desc>")
	c.escape(desc)
	c.out.WriteString("</desc>\n" + style)
	c.rect("bg", 0, 0, width, height, "")
	return c
}

// header writes the title and a line below it, and returns where they end.
func (c *canvas) header(width float64, title, below string) float64 {
	y := margin
	if title != "" {
		y += 16
		c.text("t", margin, y, clip(title, width-2*margin, 17))
		y += 4
	}
	if below != "" {
		y += 14
		c.text("m", margin, y, clip(below, width-2*margin, 12))
		y += 2
	}
	return y
}

// rect draws a rectangle; a tooltip shows its text to a mouse.
func (c *canvas) rect(class string, x, y, width, height float64, tooltip string) {
	c.begin("rect", class)
	c.number("x", x)
	c.number("y", y)
	c.number("width", max(width, 0))
	c.number("height", max(height, 0))
	c.tooltip("rect", tooltip)
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.path(class, "M"+pixels(x1)+" "+pixels(y1)+"L"+pixels(x2)+" "+pixels(y2), "")
}

func (c *canvas) path(class, d, tooltip string) {
	c.begin("path", class)
	c.out.WriteString(` d="` + d + `"`)
	c.tooltip("path", tooltip)
}

// text writes s, whose length is the caller's business, on the baseline y.
func (c *canvas) text(class string, x, y float64, s string) {
	if s == "" {
		return
	}
	c.begin("text", class)
	c.number("x", x)
	c.number("y", y)
	c.out.WriteByte('>')
	c.escape(s)
	c.out.WriteString("</text>\n")
}

func (c *canvas) begin(element, class string) {
	c.out.WriteString("<" + element)
	if class != "" {
		c.out.WriteString(` class="` + class + `"`)
	}
}

func (c *canvas) number(attribute string, v float64) {
	c.out.WriteString(" " + attribute + `="` + pixels(v) + `"`)
}

// tooltip ends an element.
func (c *canvas) tooltip(element, s string) {
	if s == "" {
		c.out.WriteString("/>\n")
		return
	}
	c.out.WriteString("><title>")
	c.escape(s)
	c.out.WriteString("</title></" + element + ">\n")
}

// escape writes s so that neither XML nor HTML sees more than text in it.
func (c *canvas) escape(s string) {
	// A Builder doesn't fail.
	_ = xml.EscapeText(&c.out, []byte(clean(s)))
}

func (c *canvas) String() string { return c.out.String() + "</svg>\n" }

// pixels writes a coordinate: one decimal is finer than a screen, and hides
// differences in the last bit between processors.
func pixels(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64)
}
