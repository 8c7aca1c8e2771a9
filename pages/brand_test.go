package pages

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Text on the accent, and in it, reaches 4.5 : 1 whatever the colour; what is no
// text reaches 3 : 1 (WCAG 2.2, 1.4.3 and 1.4.11).
func TestPalette_CanAlwaysBeRead(t *testing.T) {
	for r := 0; r <= 255; r += 51 {
		for g := 0; g <= 255; g += 51 {
			for b := 0; b <= 255; b += 51 {
				c, err := parseColour(fmt.Sprintf("#%02x%02x%02x", r, g, b))
				if err != nil {
					t.Fatal(err)
				}
				p := newPalette(c)
				for name, s := range map[string]struct {
					scheme
					grounds []colour
				}{"light": {p.light, []colour{lightSurface, lightSunken}}, "dark": {p.dark, []colour{darkSurface, darkSunken}}} {
					if got := contrast(s.on, s.accent); got < textContrast {
						t.Errorf("%s %v: text on buttons %.2f", name, c, got)
					}
					if got := contrast(s.on, s.strong); got < textContrast {
						t.Errorf("%s %v: text on buttons under the pointer %.2f", name, c, got)
					}
					for _, ground := range s.grounds {
						if got := contrast(s.link, ground); got < textContrast {
							t.Errorf("%s %v: links %.2f", name, c, got)
						}
						if got := contrast(s.accent, ground); got < shapeContrast {
							t.Errorf("%s %v: buttons %.2f", name, c, got)
						}
					}
				}
			}
		}
	}
}

var token = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

// The colours that the accent is measured against are those of the style sheet,
// and the two dark blocks say the same.
func TestPalette_MeasuresAgainstTheStyleSheet(t *testing.T) {
	b, err := os.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`\n +color-scheme: `).Split(string(b), -1)[1:]
	if len(blocks) != 3 {
		t.Fatalf("%d schemes", len(blocks))
	}
	tokens := func(block string) map[string]string {
		m := map[string]string{}
		for _, f := range token.FindAllStringSubmatch(strings.SplitN(block, "}", 2)[0], -1) {
			m[f[1]] = f[2]
		}
		return m
	}
	light, system, chosen := tokens(blocks[0]), tokens(blocks[1]), tokens(blocks[2])
	if light["surface"] != lightSurface.String() || light["ground"] != lightSunken.String() {
		t.Errorf("light: %v", light)
	}
	if chosen["surface"] != darkSurface.String() || chosen["sunken"] != darkSunken.String() {
		t.Errorf("dark: %v", chosen)
	}
	if fmt.Sprint(system) != fmt.Sprint(chosen) {
		t.Errorf("dark by the system and dark by choice differ:\n%v\n%v", system, chosen)
	}
}

func TestNew_RefusesABadBrand(t *testing.T) {
	for _, b := range []Brand{
		{Accent: "blue"}, {Accent: "#12345"}, {Accent: "#gggggg"}, {Accent: "0b5fff"}, {Accent: "#fff;}body{"},
		{Logo: []byte("x"), LogoType: "text/html"}, {Logo: make([]byte, maxLogo+1), LogoType: "image/png"},
	} {
		w := newWorld(t, acme)
		if _, err := New(Config{Gate: w.gate, Guard: w.guard, Brand: b}); err == nil {
			t.Errorf("%+v was accepted", b.Accent+b.LogoType)
		}
	}
}

// The reference says what the defaults are.
func TestBrand_DefaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `accent "`+defaultAccent+`"`) {
		t.Errorf("docs/configuration.md does not name the accent %s", defaultAccent)
	}
}
