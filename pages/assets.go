package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
)

//go:embed assets/style.css assets/console.css assets/pages.js assets/reload.js
var assetFiles embed.FS

var logoTypes = map[string]string{"image/svg+xml": "svg", "image/png": "png", "image/webp": "webp"}

// assets are the files that pages load. The hash of its content stands in each
// name, so that browsers keep a file for ever and never show an old one.
type assets struct {
	files map[string]asset  // by served name
	urls  map[string]string // by plain name
}

type asset struct {
	contentType string
	data        []byte
}

func loadAssets(b Brand, colours palette) (*assets, error) {
	a := &assets{files: map[string]asset{}, urls: map[string]string{}}
	for name, contentType := range map[string]string{"style.css": "text/css; charset=utf-8", "console.css": "text/css; charset=utf-8", "pages.js": "text/javascript; charset=utf-8", "reload.js": "text/javascript; charset=utf-8"} {
		data, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading assets: %w", err)
		}
		a.add(name, contentType, lean(name, data))
	}
	a.add("brand.css", "text/css; charset=utf-8", []byte(colours.css()))
	initial := newBrand(Brand{Name: b.Name}, a).Initial
	icon := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="%s"/>`+
		`<text x="16" y="22.5" text-anchor="middle" font-family="system-ui,sans-serif" font-weight="700" font-size="18" fill="%s">%s</text></svg>`,
		colours.light.accent, colours.light.on, template.HTMLEscapeString(initial))
	a.add("icon.svg", "image/svg+xml", []byte(icon))
	if len(b.Logo) > 0 {
		a.add("logo."+logoTypes[b.LogoType], b.LogoType, b.Logo)
		a.urls["logo"] = a.urls["logo."+logoTypes[b.LogoType]]
	}
	return a, nil
}

// lean leaves out what only readers of the source need: comments that are whole
// lines, indentation, and spaces around the marks of a style sheet. In neither file
// does a text go over the end of a line, and no text of the style sheet holds a mark.
func lean(name string, source []byte) []byte {
	var b strings.Builder
	comment := false
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		comment = comment || strings.HasPrefix(line, "/*")
		if line != "" && !comment && !strings.HasPrefix(line, "//") {
			b.WriteString(line + "\n")
		}
		if comment && strings.HasSuffix(line, "*/") {
			comment = false
		}
	}
	if strings.HasSuffix(name, ".css") {
		return []byte(marks.Replace(b.String()))
	}
	return []byte(b.String())
}

var marks = strings.NewReplacer("; ", ";", ": ", ":", ", ", ",", " { ", "{", " {", "{", "{ ", "{", " }", "}")

func (a *assets) add(name, contentType string, data []byte) {
	sum := sha256.Sum256(data)
	base, ext, _ := strings.Cut(name, ".")
	served := base + "-" + hex.EncodeToString(sum[:6]) + "." + ext
	a.files[served] = asset{contentType, data}
	a.urls[name] = Root + "assets/" + served
}

func (a *assets) url(name string) string { return a.urls[name] }

func (a *assets) serve(w http.ResponseWriter, r *http.Request, https bool, name string) {
	// The policy of an API answer: an SVG that is opened by itself runs nothing.
	web.APIHeaders(w.Header(), https)
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	f, ok := a.files[name]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(f.data)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(f.data) // nobody is left to tell when the client went away
	}
}
