package pages

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// Closed answers while there is nothing yet that could decide: the store is not open. It
// needs neither a store nor a gate, and is safe for concurrent use.
type Closed struct{ p *Pages }

// NewClosed checks the brand and parses the templates, as New does.
func NewClosed(b Brand) (*Closed, error) {
	p := &Pages{now: time.Now}
	if err := p.dress(b); err != nil {
		return nil, err
	}
	return &Closed{p}, nil
}

// Serve answers 503: with a page that comes again by itself where a person waits, with a
// problem document where a program does. https says how the request came to the outermost
// proxy that is believed.
func (c *Closed) Serve(w http.ResponseWriter, r *http.Request, https bool) {
	w = guard.Plain(w)
	if file, ok := strings.CutPrefix(r.URL.Path, Root+"assets/"); ok {
		c.p.assets.serve(w, r, https, file)
		return
	}
	w.Header().Set("Retry-After", "2")
	if !guard.ForPerson(r) {
		web.WriteProblem(w, https, web.Problem{Status: http.StatusServiceUnavailable, Title: "Try again in a moment"})
		return
	}
	// Nothing is known of the request, so nothing of it is believed: no cookie is set, and
	// the page shows no more of the address than the browser does.
	req := &guard.Request{HTTPS: https, Path: r.URL.Path, Target: r.RequestURI, Place: mfa.Place{Host: r.Host}}
	v := &visit{p: c.p, w: w, r: r, req: req, insecure: true}
	_, port, _ := net.SplitHostPort(r.Host)
	v.readPreferences(web.Cookies{Secure: https, Port: port}, web.Cookies{Secure: https, Domain: r.Host})
	m := messagePage{Heading: v.T("not_open.title"), Text: []string{v.T("not_open.text"), v.T("unavailable.ask", "support", v.helper())}}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		again := v.again()
		if Serves(r.URL.Path) {
			again = r.URL.RequestURI() // begins with our own path
		}
		m.Reload, m.Actions = true, []action{{Href: again, Label: v.T("try_again")}}
	} else {
		m.Text = []string{v.T("not_open.form"), m.Text[0], m.Text[1]}
	}
	v.message(http.StatusServiceUnavailable, m)
}

// dress takes what every page looks like and says.
func (p *Pages) dress(b Brand) error {
	colours, err := parseBrand(b)
	if err != nil {
		return fmt.Errorf("making pages: %w", err)
	}
	if p.words, err = texts(); err != nil {
		return fmt.Errorf("making pages: %w", err)
	}
	if p.assets, err = loadAssets(b, colours); err != nil {
		return fmt.Errorf("making pages: %w", err)
	}
	p.brand = newBrand(b, p.assets)
	if p.sheets, err = sheets(); err != nil {
		return fmt.Errorf("making pages: %w", err)
	}
	return nil
}
