package pages

import (
	"net/url"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
)

// preferenceLife is how long a browser keeps its language and theme, in seconds.
const preferenceLife = 366 * 24 * 3600

// postPreferences keeps the language or the theme and goes back.
func (p *Pages) postPreferences(v *visit) {
	v.prefer()
	v.redirect(v.backAddress(v.form("back")))
}

// prefer keeps the language or the theme that the form chooses in a cookie, for
// this answer too, and reports whether it chooses one.
func (v *visit) prefer() bool {
	chosen := v.form("language")
	switched := false
	for _, l := range v.p.words.list {
		if l.Tag == chosen {
			v.req.Cookies.Set(v.w, web.LanguageCookie, l.Tag, preferenceLife)
			v.words, v.at.Language, switched = l, l.Tag, true
		}
	}
	switch theme := v.form("theme"); theme {
	case "light", "dark":
		v.req.Cookies.Set(v.w, web.ThemeCookie, theme, preferenceLife)
		v.theme, switched = theme, true
	case "auto":
		v.req.Cookies.Clear(v.w, web.ThemeCookie)
		v.theme, switched = "", true
	}
	return switched
}

// backAddress returns the address where it is one of our own pages, as we write
// them, or a path of the app's, and the start otherwise: the field comes from the
// outside.
func (v *visit) backAddress(raw string) string {
	if to, ok := web.ReturnAddress(raw); ok && to == raw {
		return to
	}
	u, err := url.Parse(raw)
	if err != nil || len(raw) > 4096 || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return Root
	}
	name, ok := strings.CutPrefix(u.EscapedPath(), Root)
	if v.console {
		if to := v.p.readTo(strings.TrimPrefix(raw, Root)); to != "" && ok {
			return Root + to
		}
	}
	rt, known := v.p.routes[name]
	if !ok || !known || rt.get == nil {
		return Root
	}
	return join(name, u.Query())
}
