package pages

import (
	"errors"
	"fmt"
	"html/template"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Brand is whose gate this is. The zero value is Secondgate's own.
type Brand struct {
	Name string // empty: Secondgate
	// Accent is the colour of buttons and links, "#rrggbb"; empty: a blue. Text on
	// it and in it is adjusted until it can be read, whatever the colour.
	Accent string
	// Logo is an image of LogoType, image/svg+xml, image/png or image/webp;
	// empty: the first letter of the name on the accent.
	Logo     []byte
	LogoType string
	// Support is whom to ask: a name, a phone number, or a mail address or https
	// address, which can then be clicked.
	Support string
}

const (
	defaultName   = "Secondgate"
	defaultAccent = "#2f5bd7"
	maxLogo       = 128 << 10
)

// brand is a Brand as the layout shows it.
type brand struct {
	Name    string
	Initial string
	LogoURL string
	Support string
	ask     template.HTML // Support as a link; empty: it is no address
}

func newBrand(b Brand, a *assets) brand {
	name := strings.TrimSpace(b.Name)
	if name == "" {
		name = defaultName
	}
	first, _ := utf8.DecodeRuneInString(name)
	out := brand{Name: name, Initial: strings.ToUpper(string(first)), Support: strings.TrimSpace(b.Support)}
	if len(b.Logo) > 0 {
		out.LogoURL = a.url("logo")
	}
	if to := supportAddress(out.Support); to != "" {
		// The address was parsed and written anew, and everything is escaped.
		out.ask = template.HTML(`<a href="` + template.HTMLEscapeString(to) + `">` + template.HTMLEscapeString(out.Support) + `</a>`) //nolint:gosec
	}
	return out
}

// supportAddress returns where a click on the support leads, or "". Only mail and
// https: the text comes from a configuration, but a page of ours runs nothing.
func supportAddress(support string) string {
	if m, err := mail.ParseAddress(support); err == nil && m.Address == support {
		return (&url.URL{Scheme: "mailto", Opaque: url.PathEscape(support)}).String()
	}
	if u, err := url.Parse(support); err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil {
		return u.String()
	}
	return ""
}

// linked escapes a text and makes whom to ask in it a link.
func (b brand) linked(text string) template.HTML {
	s := template.HTMLEscapeString(text)
	if b.ask != "" {
		s = strings.ReplaceAll(s, template.HTMLEscapeString(b.Support), string(b.ask))
	}
	return template.HTML(s) //nolint:gosec // escaped just now
}

// parseBrand checks the brand and returns its colours.
func parseBrand(b Brand) (palette, error) {
	if len(b.Logo) > maxLogo {
		return palette{}, errors.New("brand: the logo is over 128 KiB; use a smaller one")
	}
	if _, ok := logoTypes[b.LogoType]; len(b.Logo) > 0 && !ok {
		return palette{}, fmt.Errorf("brand: a logo of type %q cannot be shown; use SVG, PNG or WebP", b.LogoType)
	}
	accent := b.Accent
	if accent == "" {
		accent = defaultAccent
	}
	c, err := parseColour(accent)
	if err != nil {
		return palette{}, err
	}
	return newPalette(c), nil
}

// parseColour reads "#rrggbb" or "#rgb".
func parseColour(s string) (colour, error) {
	hex, ok := strings.CutPrefix(s, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || len(hex) != 6 || err != nil {
		return colour{}, fmt.Errorf("brand: accent %q is not a colour; write for example \"#0b5fff\"", s)
	}
	return colour{float64(n>>16&255) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}, nil
}
