package pages

import (
	"fmt"
	"math"
)

// colour is sRGB, each part from 0 to 1.
type colour struct{ r, g, b float64 }

var (
	white = colour{1, 1, 1}
	black = colour{0, 0, 0}
	// The surfaces of style.css that the accent stands on; a test compares them.
	lightSurface = colour{1, 1, 1}
	lightSunken  = colour{0xf3 / 255.0, 0xf4 / 255.0, 0xf6 / 255.0}
	darkSurface  = colour{0x17 / 255.0, 0x1b / 255.0, 0x22 / 255.0}
	darkSunken   = colour{0x1e / 255.0, 0x23 / 255.0, 0x2b / 255.0}
)

func (c colour) String() string {
	to := func(x float64) int { return int(math.Round(x * 255)) }
	return fmt.Sprintf("#%02x%02x%02x", to(c.r), to(c.g), to(c.b))
}

// round returns c as a browser will show it.
func (c colour) round() colour {
	to := func(x float64) float64 { return math.Round(x*255) / 255 }
	return colour{to(c.r), to(c.g), to(c.b)}
}

// mix returns c with so much of the other, 0 to 1.
func (c colour) mix(other colour, part float64) colour {
	return colour{c.r + (other.r-c.r)*part, c.g + (other.g-c.g)*part, c.b + (other.b-c.b)*part}.round()
}

// luminance is WCAG's relative luminance.
func (c colour) luminance() float64 {
	lin := func(x float64) float64 {
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*lin(c.r) + 0.7152*lin(c.g) + 0.0722*lin(c.b)
}

// contrast is WCAG's contrast ratio, 1 to 21.
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	if x < y {
		x, y = y, x
	}
	return (x + 0.05) / (y + 0.05)
}

// toward moves c towards the other until it has that contrast to every ground.
func (c colour) toward(other colour, ratio float64, grounds ...colour) colour {
	for part := 0.0; part < 1; part += 0.02 {
		m := c.mix(other, part)
		enough := true
		for _, g := range grounds {
			enough = enough && contrast(m, g) >= ratio
		}
		if enough {
			return m
		}
	}
	return other
}

// scheme is the accent in one scheme.
type scheme struct {
	accent colour // ground of buttons
	strong colour // … under the pointer
	on     colour // text on both
	link   colour // text in the accent's colour
	focus  colour // the ring around what has the focus
}

// palette is the accent in both schemes.
type palette struct{ light, dark scheme }

// The contrasts that WCAG 2.2 asks of text, and of what is no text.
const (
	textContrast  = 4.5
	shapeContrast = 3
)

func newPalette(accent colour) palette {
	return palette{
		light: newScheme(accent, black, lightSurface, lightSunken),
		dark:  newScheme(accent, white, darkSurface, darkSunken),
	}
}

// newScheme fits the accent to a scheme: away is the end of the scale that
// stands out from its grounds.
func newScheme(accent, away colour, grounds ...colour) scheme {
	s := scheme{
		accent: accent.round().toward(away, shapeContrast, grounds...),
		link:   accent.round().toward(away, textContrast, grounds...),
		focus:  accent.round().toward(away, shapeContrast, grounds...),
	}
	// One of the two always reaches 4.5; white is preferred, as people expect it.
	s.on = white
	if contrast(s.accent, white) < textContrast {
		s.on = black
	}
	// Under the pointer the ground moves away from the text, so that it can only
	// become easier to read.
	end := black
	if s.on == black {
		end = white
	}
	s.strong = s.accent.mix(end, 0.14)
	return s
}

// css returns the style sheet of the palette. It is a file of its own because the
// content security policy allows no style in a page.
func (p palette) css() string {
	vars := func(s scheme) string {
		return fmt.Sprintf("--accent:%s;--accent-strong:%s;--on-accent:%s;--link:%s;--focus:%s", s.accent, s.strong, s.on, s.link, s.focus)
	}
	return fmt.Sprintf(":root{%s}\n@media (prefers-color-scheme:dark){:root:not([data-theme=light]){%s}}\n:root[data-theme=dark]{%s}\n",
		vars(p.light), vars(p.dark), vars(p.dark))
}
