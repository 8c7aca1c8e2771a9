package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// The parameters that travel in the address of every page.
const (
	paramReturn  = "rd"      // where the person was going
	paramMaxAge  = "max_age" // what the route asks: a hint, see mfa.Place.Asked
	paramFactors = "factors"
	paramPHR     = "phr"
	paramReq     = "req"
	paramFor     = "for"    // our own page that waits for a newer proof
	paramProve   = "prove"  // … and the factors that would do
	paramFrom    = "from"   // set-up by choice: from the account, or after a factor
	paramCookie  = "c"      // a cookie was set just before: it must be there now
	paramAgain   = "again"  // why the person is here a second time
	paramDone    = "done"   // what was just done
	paramList    = "list"   // show the list even where one page would open
	paramCred    = "cred"   // which of several addresses a code goes to
	paramSource  = "source" // the identity source whose form is shown
	paramMark    = "mark"   // of the browser that a hand-off is for
	paramCode    = "code"   // of a hand-off
)

// againArrive says that a hand-off has failed once already.
const againArrive = "arrive"

// What set-up by choice came from.
const (
	fromAccount = "account" // goes back to the account page
	fromFactor  = "factor"  // the tail of a set-up that a route asked for
)

// waiting are the pages that can wait for a newer proof (rule B15).
var waiting = []string{"account", "account/password", "account/opt-out", "account/remove", "account/email", "account/email/code", "account/app-tokens/new", "set-up", "set-up/passkey", "set-up/totp", "set-up/backup-codes", "set-up/email", "set-up/sms", forApp, consoleHome}

// forApp is an app that waits for a newer proof: it tried to change something through
// the account API. The way back is its own.
const forApp = "app"

// visit is one request to one page: what was parsed, once, at the edge.
type visit struct {
	p     *Pages
	w     http.ResponseWriter
	r     *http.Request
	req   *guard.Request
	query url.Values

	words *language
	theme string // "light", "dark" or "": the system's

	rd string // validated; "" where there is none
	// origin is the one that rd begins with: at the portal it is a whole address. Elsewhere
	// rd is a path, and origin is empty.
	origin string
	asked  mfa.Requirement
	want   string    // paramFor, one of waiting or ""
	prove  mfa.Kinds // paramProve
	from   string

	at     mfa.Place
	view   *session.View
	source mfa.SourceInfo // of a page that belongs to one; else zero

	console bool   // on the host of a console; the portal is one
	portal  bool   // at the portal
	to      string // paramTo: the page of the console that waits; "" where there is none

	insecure bool // came over plain http: no cookie may be set, so nothing is asked
	helped   bool // the page says whom to ask
	circled  bool // was sent on again and again, and came back each time
	secretly bool // the address of this page holds what is told to nobody, not even the app
}

// visit reads one request, to the host of an app or to one of a console.
func (p *Pages) visit(w http.ResponseWriter, r *http.Request, req *guard.Request, console bool) *visit {
	v := &visit{p: p, w: w, r: r, req: req, query: r.URL.Query(), at: req.Place, console: console}
	v.portal = console && p.portal != nil && req.Place.Origin == p.portal.Origin
	for _, k := range []web.Cookie{web.DevicesCookie, web.RememberCookie, web.WaitingCookie, web.RedirectCookie} {
		// Two of a name: neither counts, and without this none would ever again. What this
		// answer sets comes after it.
		if _, n := web.Find(r, req.Cookies.Name(k)); n > 1 {
			req.Cookies.ClearPlanted(w, k, req.SentPath())
		}
	}
	v.readPreferences(req.Cookies)
	v.read(v.query)
	v.at.Language = v.words.Tag
	return v
}

// readPreferences takes the language and the theme from the cookies of these names, or from what the
// browser prefers.
func (v *visit) readPreferences(cookies ...web.Cookies) {
	language := ""
	for _, c := range cookies {
		if chosen, n := web.Find(v.r, c.Name(web.LanguageCookie)); n == 1 {
			language = chosen
		}
		if theme, n := web.Find(v.r, c.Name(web.ThemeCookie)); n == 1 && (theme == "light" || theme == "dark") {
			v.theme = theme
		}
	}
	v.words = v.p.words.choose(language, v.r.Header.Get("Accept-Language"))
}

// read takes from q what travels along. It comes from the outside, whichever way: what
// cannot be read is left out.
func (v *visit) read(q url.Values) {
	v.rd, v.origin, v.want, v.prove, v.from = "", "", "", 0, ""
	if v.portal {
		// The way back is a whole address there.
		if origin, path, ok := web.AbsoluteReturnAddress(q.Get(paramReturn), v.p.portal.Serves); ok {
			v.rd, v.origin = origin+path, origin
		}
	} else if rd, ok := web.ReturnAddress(q.Get(paramReturn)); ok {
		v.rd = rd
	}
	v.asked = parseAsked(q)
	if want := q.Get(paramFor); slices.Contains(waiting, want) && (want != consoleHome || v.console) {
		v.want = want
		v.prove = parseKinds(q.Get(paramProve))
	}
	if from := q.Get(paramFrom); from == fromAccount || from == fromFactor {
		v.from = from
	}
	v.to = ""
	if v.console {
		v.to = v.p.readTo(q.Get(paramTo))
	}
	v.at.Asked = v.asked
}

// parseAsked reads what the route asks. It is a hint: the route decides again,
// so what cannot be read asks nothing.
func parseAsked(q url.Values) mfa.Requirement {
	var need mfa.Requirement
	if seconds, err := strconv.Atoi(q.Get(paramMaxAge)); err == nil && seconds >= int(mfa.MinFresh/time.Second) && seconds <= 366*24*3600 {
		need.Fresh = time.Duration(seconds) * time.Second
	}
	need.Factors = parseKinds(q.Get(paramFactors))
	need.PhishingResistant = q.Get(paramPHR) == "1"
	need.Required = q.Get(paramReq) == "1"
	return need
}

func parseKinds(s string) mfa.Kinds {
	names := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	if len(names) == 0 || len(names) > 8 {
		return 0
	}
	kinds, err := mfa.ParseKinds(names)
	if err != nil {
		return 0
	}
	return kinds
}

// T returns a text in the visitor's language.
func (v *visit) T(key string, pairs ...any) string { return v.words.text(key, pairs...) }

// asks returns the parameters that say what the route asks.
func (v *visit) asks() url.Values {
	q := url.Values{}
	if v.asked.Fresh > 0 {
		q.Set(paramMaxAge, strconv.Itoa(int(v.asked.Fresh/time.Second)))
	}
	if v.asked.Factors != 0 {
		q.Set(paramFactors, v.asked.Factors.String())
	}
	if v.asked.PhishingResistant {
		q.Set(paramPHR, "1")
	}
	if v.asked.Required {
		q.Set(paramReq, "1")
	}
	return q
}

// carried returns the parameters that every address of this visit keeps.
func (v *visit) carried() url.Values {
	q := v.asks()
	if v.rd != "" {
		q.Set(paramReturn, v.rd)
	}
	if v.from != "" {
		q.Set(paramFrom, v.from)
	}
	if v.to != "" {
		q.Set(paramTo, v.to)
	}
	if v.want != "" {
		q.Set(paramFor, v.want)
		if v.prove != 0 {
			q.Set(paramProve, v.prove.String())
		}
	}
	return q
}

// Href returns the address of one of our pages, with what travels along.
func (v *visit) Href(page string) string { return v.href(page, "", "") }

// href is Href with one more parameter.
func (v *visit) href(page, key, value string) string {
	q := v.carried()
	if key != "" {
		q.Set(key, value)
	}
	return join(page, q)
}

func join(page string, q url.Values) string {
	if len(q) == 0 {
		return Root + page
	}
	return Root + page + "?" + q.Encode()
}

// Here is the address that the page's own form is sent to.
func (v *visit) Here() string { return v.Href(v.page()) }

// page is the name of this page below Root.
func (v *visit) page() string {
	return strings.TrimPrefix(strings.TrimPrefix(v.req.Path, strings.TrimSuffix(Root, "/")), "/")
}

// session returns the session that this browser holds: a complete one before a
// half-done one, so that a planted half-done cookie takes nobody's session away.
func (v *visit) session() (*session.View, error) {
	if v.view != nil {
		return v.view, nil
	}
	view, err := v.p.guard.Session(v.r, v.req)
	if errors.Is(err, mfa.ErrNoSession) {
		for _, k := range []web.Cookie{web.SessionCookie, web.HalfDoneCookie} {
			// Two of a name: without this the person would sign in again and again.
			if _, n := web.Find(v.r, v.req.Cookies.Name(k)); n > 1 {
				v.req.Cookies.ClearPlanted(v.w, k, v.req.SentPath())
			}
		}
		view, err = v.p.guard.HalfDone(v.r, v.req)
	}
	if err != nil {
		return nil, err
	}
	v.view = view
	return view, nil
}

// id is session for the handlers that only pass it on. It has answered where it
// reports false.
func (v *visit) id() (mfa.SessionID, bool) {
	view, err := v.session()
	if err != nil {
		v.noSession(err, "sign-in")
		return "", false
	}
	return view.Session.ID, true
}

// hasCookie reports whether the browser sent a session cookie of either kind,
// good or not: it keeps cookies, then.
func (v *visit) hasCookie() bool {
	_, full := web.Find(v.r, v.req.Cookies.Name(web.SessionCookie))
	_, half := web.Find(v.r, v.req.Cookies.Name(web.HalfDoneCookie))
	return full+half > 0
}

// noSession answers a step that needs a session where there is none.
func (v *visit) noSession(err error, page string) {
	switch {
	case !errors.Is(err, mfa.ErrNoSession) && !errors.Is(err, mfa.ErrExpired):
		v.unavailable(err)
	case v.query.Get(paramCookie) != "" && !v.hasCookie():
		v.cookieLost()
	case v.hasCookie():
		v.redirect(v.href(page, paramAgain, "late"))
	default:
		v.redirect(v.Href(page))
	}
}

// proceed writes the session's cookie where it changed and goes where the
// decision says.
func (v *visit) proceed(out *mfa.Outcome) {
	next, ok := v.follow(out)
	if ok && (out.Changed || !v.circles(out.Session, next)) {
		v.redirect(next)
	}
}

// follow is proceed for answers that are no redirect. It has answered where it
// reports false.
func (v *visit) follow(out *mfa.Outcome) (next string, ok bool) {
	if err := v.keep(out); err != nil {
		v.unavailable(err)
		return "", false
	}
	next = v.next(out.Decision, out.Session)
	if out.Notices && out.Decision.Action == mfa.Allow && v.want == "" {
		next = v.Href("notices")
	}
	if out.Changed && strings.HasPrefix(next, Root) {
		next = withQuery(next, paramCookie, "1") // it can tell that the cookie was not kept
	}
	return next, true
}

// withQuery adds a plain parameter to an address of ours.
func withQuery(to, key, value string) string {
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return to + sep + key + "=" + value
}

// proceedTo is proceed to a page of ours that looks itself at what is owed.
func (v *visit) proceedTo(page string, out *mfa.Outcome) {
	if err := v.keep(out); err != nil {
		v.unavailable(err)
		return
	}
	next := v.Href(page)
	if out.Changed {
		next = withQuery(next, paramCookie, "1")
	}
	v.redirect(next)
}

// keep gives the browser what changed: the session's token, the mark of a browser
// that is known, and what makes it stand for a second factor.
func (v *visit) keep(out *mfa.Outcome) error {
	if err := guard.Keep(v.p.guard, v.w, v.req, out); err != nil {
		return err
	}
	return v.share(out)
}

// next returns the address that a decision leads to.
func (v *visit) next(d mfa.Decision, s *mfa.Session) string {
	complete := s != nil && s.Complete
	switch d.Action {
	case mfa.Allow:
		return v.onward()
	case mfa.SignIn:
		return v.Href("sign-in")
	case mfa.SetUp:
		if strings.HasPrefix(v.want, "set-up") {
			// The set-up that waited is where the person goes now. Afterwards they are
			// done, and not to be sent there again to choose among what they do not owe.
			v.want, v.prove = "", 0
		}
		if d.Reason != mfa.ReasonNoCodes {
			return v.Href("set-up")
		}
		if complete && v.from == "" {
			return v.href("set-up/backup-codes", paramFrom, fromFactor)
		}
		return v.Href("set-up/backup-codes")
	}
	// Verify and StepUp; a refusal is shown there, too.
	return v.Href("verify")
}

// onward is where somebody goes who owes nothing: to our page that waited for
// the proof, to the account page that they came from, or where they were going.
// Who came by a link, or through our own door, was going to the app.
func (v *visit) onward() string {
	q := v.carried()
	q.Del(paramFor)
	q.Del(paramProve)
	switch {
	case v.want == forApp:
		return v.away()
	case v.to != "" && (v.want == "" || v.want == consoleHome):
		return Root + v.to
	case v.want == consoleHome:
		return Root + consoleHome
	case v.want != "":
		return join(v.want, q)
	case v.from == fromAccount:
		return join("account", v.returnOnly())
	}
	return v.away()
}

func (v *visit) returnOnly() url.Values {
	q := url.Values{}
	if v.rd != "" {
		q.Set(paramReturn, v.rd)
	}
	return q
}

// proveFor returns where the person verifies again, or signs in again where there
// is no second factor, while page waits for it (rule B15).
func (v *visit) proveFor(page string, kinds mfa.Kinds) string {
	q := v.carried()
	q.Set(paramFor, page)
	q.Del(paramProve)
	if kinds == 0 {
		return join("sign-in", q)
	}
	q.Set(paramProve, kinds.String())
	return join("verify", q)
}

// redirect goes on with a GET, whatever the request was.
func (v *visit) redirect(to string) {
	web.APIHeaders(v.w.Header(), v.req.HTTPS)
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// ours reports whether a POST comes from our own page, and has answered where it
// does not (AC-120, AC-121).
func (v *visit) ours() bool {
	err := v.p.csrf.Check(v.r, v.req.Cookies)
	if err == nil {
		return true
	}
	if strings.HasPrefix(v.r.Header.Get("Content-Type"), "application/json") {
		v.refuseJSON(http.StatusForbidden, v.T("csrf.text"))
		return false
	}
	back := []action{{Href: v.Here(), Label: v.T("csrf.back")}}
	if to := v.consoleAddress(); to != "" {
		back[0].Href = Root + to
	} else if v.p.routes[v.page()].get == nil {
		back[0].Href = Root
	}
	_, kept := web.Find(v.r, v.req.Cookies.Name(web.CSRFCookie))
	switch {
	case errors.Is(err, web.ErrContentType):
		v.message(http.StatusUnsupportedMediaType, messagePage{Heading: v.T("csrf.title"), Text: []string{v.T("csrf.text")}, Actions: back})
	case errors.Is(err, web.ErrCSRFToken) && kept == 0:
		v.cookieLost()
	default:
		v.message(http.StatusForbidden, messagePage{Heading: v.T("csrf.title"), Text: []string{v.T("csrf.text")}, Actions: back})
	}
	return false
}

// form returns a field of the form. Bodies are capped and parsed by then.
func (v *visit) form(name string) string { return v.r.PostForm.Get(name) }
