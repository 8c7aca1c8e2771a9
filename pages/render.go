package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"github.com/secondgate/secondgate/internal/web"
)

//go:embed templates/*.html
var templateFiles embed.FS

// parseSheets parses every page within the layout.
// sheets are the templates, which are the same for every configuration: what html/template
// finds out about them at their first use need not be found out again after a reload.
var sheets = sync.OnceValues(parseSheets)

func parseSheets() (map[string]*template.Template, error) {
	base, err := template.ParseFS(templateFiles, "templates/layout.html", "templates/icons.html", "templates/campaign.html", "templates/console.html")
	if err != nil {
		return nil, fmt.Errorf("parsing layout: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	sheets := map[string]*template.Template{}
	for _, name := range names {
		page := strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")
		if page == "layout" || page == "icons" || page == "campaign" || page == "console" {
			continue
		}
		sheet, err := template.Must(base.Clone()).ParseFS(templateFiles, name)
		if err != nil {
			return nil, fmt.Errorf("parsing %s: %w", name, err)
		}
		sheets[page] = sheet
	}
	return sheets, nil
}

// frame is what the layout and the parts that pages share need.
type frame struct {
	v *visit

	Heading string // of the page; the document's title begins with it
	Brand   brand
	Place   string
	Person  string // empty: nobody is signed in
	CSRF    string
	Wide    bool
	Console *consoleFrame // nil: not a page of the console
	// Back is where the language and theme switches return to; "": there are none.
	Back string
	// Token is the secret of a link, on a page that one opened: the switches send
	// it along, for it stands in no address that they could return to.
	Token string

	Refresh string // where the browser goes on to by itself; "": nowhere

	Error      string // above the form
	FieldError string // by the field
	Notice     string
	Good       bool // the notice is good news
	Wait       int  // seconds that too many tries must wait
	Decision   string

	// Of pages with another way, and of pages that can be skipped.
	Others    string
	Skip      bool
	SkipMeans string
	Why       string // why this page asks

	// Of pages that verify.
	Remember string // what may be ticked, so that this browser is not asked again; "": nothing
	Ticked   bool   // it was
	Bypass   string // where a code from an administrator is entered; "": not here
}

// frame begins a page. Call it before anything is written: it may set a cookie.
func (v *visit) frame(heading string) frame {
	f := frame{v: v, Heading: heading, Brand: v.p.brand, Place: v.place()}
	if !v.insecure {
		f.CSRF, f.Back = v.p.csrf.Token(v.w, v.r, v.req.Cookies), v.back()
	}
	if v.view != nil {
		f.Person = personName(v.view.Subject.DisplayName, v.view.Subject.Name)
	}
	return f
}

func personName(display, name string) string {
	if display != "" {
		return display
	}
	return name
}

// T, Rich, Href and Here are the visit's, for templates.
func (f frame) T(key string, pairs ...any) string           { return f.v.T(key, pairs...) }
func (f frame) Rich(key string, pairs ...any) template.HTML { return f.v.words.rich(key, pairs...) }
func (f frame) Href(page string) string                     { return f.v.Href(page) }
func (f frame) Here() string                                { return f.v.Here() }
func (f frame) Asset(name string) string                    { return f.v.p.assets.url(name) }
func (f frame) Lang() string                                { return f.v.words.Tag }
func (f frame) Dir() string                                 { return f.v.words.Dir }
func (f frame) Theme() string                               { return f.v.theme }
func (f frame) ThemeIs(theme string) bool                   { return f.v.theme == theme }

// Helper is whom to ask.
func (f frame) Helper() string { return f.v.helper() }

// Support is whom to ask, for the foot of a page that has not said it yet.
func (f frame) Support() string {
	if f.v.helped {
		return ""
	}
	return f.v.helper()
}

// Linked is a text in which whom to ask can be clicked, where that is an address.
func (f frame) Linked(text string) template.HTML { return f.Brand.linked(text) }

func (v *visit) helper() string {
	v.helped = true
	if v.p.brand.Support != "" {
		return v.p.brand.Support
	}
	return v.T("support.default")
}

// back is the address of this page as a GET, or "" where there is none: the
// answer to a form of the app's stays, or what was typed there would be lost.
func (v *visit) back() string {
	// Where a code was asked for again, the page that takes it.
	page := strings.TrimSuffix(v.page(), sendAgain)
	if to := v.consoleAddress(); to != "" {
		return Root + to
	}
	if v.source.Name != "" {
		return v.href("sign-in", paramAgain, againOther)
	}
	if rt, ok := v.p.routes[page]; ok && rt.get != nil && Serves(v.req.Path) {
		which := []string{"credential", paramCred}
		if page == "sign-in" {
			which = []string{paramSource, paramAgain}
		}
		for _, which := range which {
			if c := v.query.Get(which); c != "" {
				return v.href(page, which, c)
			}
		}
		return v.Href(page)
	}
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		if Serves(v.req.Path) {
			return Root
		}
		return ""
	}
	if to, ok := web.ReturnAddress(v.req.Target); ok && !Serves(v.req.Path) {
		return to
	}
	return Root
}

// DocumentTitle says what the page is, and first of all that something went
// wrong.
func (f frame) DocumentTitle() string {
	title := f.Heading + " · " + f.Brand.Name
	if f.Error != "" || f.FieldError != "" || f.Wait > 0 {
		return f.T("title.error", "title", title)
	}
	return title
}

// ErrorTitle is the title that a script sets when something went wrong.
func (f frame) ErrorTitle() string { return f.T("title.error", "title", f.Heading+" · "+f.Brand.Name) }

// languageLink is one entry of the language switch.
type languageLink struct {
	Tag, Name string
	Current   bool
}

// Languages lists the language switch.
func (f frame) Languages() []languageLink {
	var list []languageLink
	for _, l := range f.v.p.words.list {
		list = append(list, languageLink{l.Tag, l.Name, l == f.v.words})
	}
	return list
}

// render writes one page. It is rendered whole before anything is sent, so that a
// mistake in a template never sends half a page with status 200.
func (v *visit) render(status int, page string, data any) {
	var b bytes.Buffer
	if err := v.p.sheets[page].ExecuteTemplate(&b, "layout", data); err != nil {
		v.fault(fmt.Errorf("rendering %s: %w", page, err))
		web.WriteProblem(v.w, v.req.HTTPS, web.Problem{Title: "this page could not be shown", Status: http.StatusInternalServerError})
		return
	}
	h := v.w.Header()
	web.SecurityHeaders(h, v.req.HTTPS)
	if v.secretly {
		// The origin alone: without it, browsers send "Origin: null" with our own forms.
		h.Set("Referrer-Policy", "strict-origin")
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.words.Tag)
	h.Add("Vary", "Accept-Language, Cookie")
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(b.Bytes()) // nobody is left to tell when the client went away
	}
}

// way is one row of a list: a factor with what it is, or why it cannot be used, and
// then perhaps a link to what helps. Target is where its codes go.
type way struct {
	Icon, Name, Target, What, Href, Why string

	Help, HelpHref string
}

// action is one link that leads on from a message.
type action struct{ Href, Label string }

// messagePage is a page that tells something and leads on.
type messagePage struct {
	frame
	Heading string
	Text    []string
	Ways    []way
	Actions []action
	Context bool   // with place and person above
	ID      string // of the decision
	Token   string // of the link that the page is about

	SkipMeans string // where the matter can be skipped: what that means
	Refresh   string // where the browser goes on to by itself
	Reload    bool   // it asks for the page again as soon as the gate is well
}

// message shows a messagePage.
func (v *visit) message(status int, m messagePage) {
	m.frame = v.frame(m.Heading)
	m.frame.Decision, m.frame.Token = m.ID, m.Token
	m.frame.Refresh = m.Refresh
	m.frame.Skip, m.frame.SkipMeans = m.SkipMeans != "", m.SkipMeans
	v.render(status, "message", m)
}
