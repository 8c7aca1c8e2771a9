package pages

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// fakeSources is what the gate knows of identity sources. The zero value has the
// gateway's own accounts alone.
type fakeSources struct {
	sources []mfa.SourceInfo
	there   string // what SignOut leads to
	carry   string // what comes back with a browser
	answer  url.Values
}

// Three sources, one of each kind.
var (
	ownAccounts = mfa.SourceInfo{Name: mfa.LocalSource, Kind: mfa.ByPassword}
	directory   = mfa.SourceInfo{Name: "ldap", Title: "Acme directory", Kind: mfa.ByPassword}
	acmeID      = mfa.SourceInfo{Name: "acme", Title: "Acme ID", Kind: mfa.ByRedirect}
	otherID     = mfa.SourceInfo{Name: "other", Title: "Otherwise", Kind: mfa.ByRedirect}
	frontDoor   = mfa.SourceInfo{Name: "proxied", Title: "Acme front door", Kind: mfa.ByClaim}
)

func (g *fakeGate) SignInSources() []mfa.SourceInfo {
	if g.sources == nil {
		return []mfa.SourceInfo{ownAccounts}
	}
	return g.sources
}

func (g *fakeGate) BeginRedirect(_ context.Context, at *mfa.Place, in mfa.RedirectInput) (*mfa.Redirection, error) {
	g.call("BeginRedirect", at, in.Source, in.Callback, in.Browser, in.Carry, strconv.FormatBool(in.Again))
	if g.beginOf != nil {
		return nil, g.beginOf
	}
	browser := in.Browser
	if browser == "" {
		browser = "bound-to-this-browser"
	}
	return &mfa.Redirection{Location: "https://id.acme.example/authorize?client_id=gate&state=s1", Browser: browser}, nil
}

func (g *fakeGate) FinishRedirect(_ context.Context, at *mfa.Place, source, browser string, answer url.Values) (*mfa.Outcome, string, error) {
	g.call("FinishRedirect", at, source, browser, string(at.Replaces))
	g.answer = answer
	out, err := g.out()
	return out, g.carry, err
}

func (g *fakeGate) SignInEstablished(_ context.Context, at *mfa.Place) (*mfa.Outcome, error) {
	g.call("SignInEstablished", at, at.Established.Subject, string(at.Replaces))
	return g.out()
}

func (g *fakeGate) SourceSignedOut(_ context.Context, at *mfa.Place, source, token string) error {
	g.call("SourceSignedOut", at, source, token)
	return g.err
}

// fakeRedirect keeps the secret of a sign-in elsewhere in a real cookie.
type fakeRedirect struct{}

func (fakeRedirect) SetRedirect(w http.ResponseWriter, req *guard.Request, secret string) {
	req.Cookies.Set(w, web.RedirectCookie, secret, 0)
}

func (fakeRedirect) Redirect(r *http.Request, req *guard.Request) string {
	secret, n := web.Find(r, req.Cookies.Name(web.RedirectCookie))
	if n != 1 {
		return ""
	}
	return secret
}
