package pages

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// tokenRow is one app token of the account.
type tokenRow struct {
	Name, Host, Until, Used string
	Over                    bool
	Revoke                  string
}

type tokensPage struct {
	frame
	Tokens []tokenRow
	Make   string // where one is made; "": no host takes any
	Full   string // why none can be made
}

type makeTokenPage struct {
	frame
	Name, NameError string
	Hosts, Lives    []option
}

// newTokenPage shows the text of a token, this once.
type newTokenPage struct {
	frame
	Text, User, Host, Until string
}

// tokenLives are how long a token may be good for; the account API takes any.
var tokenLives = []time.Duration{7 * 24 * time.Hour, 30 * 24 * time.Hour, mfa.DefaultAppTokenLife, 180 * 24 * time.Hour, 365 * 24 * time.Hour}

// tokensLine says how many tokens there are, for the account page; "": nothing to say,
// because there are none and none can be made.
func (v *visit) tokensLine(a *mfa.Account) string {
	if len(a.AppTokens) == 0 && len(a.AppHosts) == 0 {
		return ""
	}
	return v.words.count("tokens.count", len(a.AppTokens))
}

func (p *Pages) serveTokens(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	page := tokensPage{frame: v.frame(v.T("tokens.title"))}
	page.Wide = true
	if v.query.Get(paramDone) == "token" {
		page.Notice, page.Good = v.T("done.token"), true
	}
	live := 0
	for _, t := range a.AppTokens {
		row := tokenRow{
			Name: t.Name, Host: t.Host, Until: v.T("tokens.until", "when", v.day(t.Expires)),
			Used: v.T("tokens.unused"), Revoke: v.href("account/app-tokens/revoke", "token", t.ID),
		}
		if row.Over = !v.p.now().Before(t.Expires); row.Over {
			row.Until = v.T("tokens.over", "when", v.day(t.Expires))
		} else {
			live++
		}
		if !t.LastUsed.IsZero() {
			row.Used = v.T("account.used", "when", v.since(t.LastUsed))
		}
		page.Tokens = append(page.Tokens, row)
	}
	switch {
	case len(a.AppHosts) == 0:
		page.Full = v.T("tokens.nowhere")
	case live >= mfa.MaxAppTokens:
		page.Full = v.T("tokens.full")
	default:
		page.Make = v.Href("account/app-tokens/new")
	}
	v.render(http.StatusOK, "account_tokens", page)
}

// tokenForm is the form that makes a token, with what was filled in, or reports false
// where it has answered.
func (v *visit) tokenForm() (makeTokenPage, bool) {
	a, ok := v.account()
	if !ok {
		return makeTokenPage{}, false
	}
	if len(a.AppHosts) == 0 {
		v.redirect(v.Href("account/app-tokens"))
		return makeTokenPage{}, false
	}
	page := makeTokenPage{frame: v.frame(v.T("tokens.make.title")), Name: v.form("name")}
	chosen := v.form("host")
	if chosen == "" {
		chosen = v.req.Place.Host
	}
	for _, host := range a.AppHosts {
		page.Hosts = append(page.Hosts, option{Value: host, Label: host, Selected: host == chosen})
	}
	life := v.tokenLife()
	for _, d := range tokenLives {
		page.Lives = append(page.Lives, option{Value: d.String(), Label: v.duration(d), Selected: d == life})
	}
	return page, true
}

func (v *visit) tokenLife() time.Duration {
	i := slices.IndexFunc(tokenLives, func(d time.Duration) bool { return d.String() == v.form("life") })
	if i < 0 {
		return mfa.DefaultAppTokenLife
	}
	return tokenLives[i]
}

func (p *Pages) serveMakeToken(v *visit) {
	if page, ok := v.tokenForm(); ok {
		v.render(http.StatusOK, "account_token_make", page)
	}
}

func (p *Pages) postMakeToken(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	text, t, err := p.gate.CreateAppToken(v.r.Context(), &v.at, id, mfa.AppTokenInput{Name: v.form("name"), Host: v.form("host"), Life: v.tokenLife()})
	switch {
	case err == nil:
		page := newTokenPage{frame: v.frame(v.T("tokens.made.title", "name", t.Name)), Text: text, User: v.view.Subject.Name, Host: t.Host, Until: v.day(t.Expires)}
		if page.User == "" {
			page.User = "token"
		}
		v.render(http.StatusOK, "account_token", page)
	case errors.Is(err, mfa.ErrName), errors.Is(err, mfa.ErrLimit), errors.Is(err, mfa.ErrNoFactor):
		page, ok := v.tokenForm()
		if !ok {
			return
		}
		switch {
		case errors.Is(err, mfa.ErrName):
			page.NameError = v.T("tokens.name.refused")
			page.FieldError = page.NameError
		case errors.Is(err, mfa.ErrLimit):
			page.Error = v.T("tokens.full")
		default:
			page.Error = v.T("tokens.no_factor")
		}
		v.render(http.StatusUnprocessableEntity, "account_token_make", page)
	default:
		v.changed(err, "token", "account/app-tokens/new")
	}
}

// token returns the token that the address names, and has answered where there is none.
func (v *visit) token(id string) (*mfa.AppToken, bool) {
	a, ok := v.account()
	if !ok {
		return nil, false
	}
	for i := range a.AppTokens {
		if a.AppTokens[i].ID == id {
			return &a.AppTokens[i], true
		}
	}
	v.redirect(v.Href("account/app-tokens"))
	return nil, false
}

func (p *Pages) serveRevokeToken(v *visit) {
	t, ok := v.token(v.query.Get("token"))
	if !ok {
		return
	}
	v.render(http.StatusOK, "account_confirm", confirmPage{
		frame: v.frame(v.T("tokens.revoke.title", "name", t.Name)), Submit: v.T("tokens.revoke"), Credential: mfa.CredentialID(t.ID),
		Text: []string{v.T("tokens.revoke.text", "place", t.Host)},
	})
}

func (p *Pages) postRevokeToken(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	err := p.gate.RevokeAppToken(v.r.Context(), &v.at, id, v.form("credential"))
	if err == nil || errors.Is(err, mfa.ErrNotFound) {
		v.redirect(v.href("account/app-tokens", paramDone, "token"))
		return
	}
	v.changed(err, "token", "account/app-tokens")
}
