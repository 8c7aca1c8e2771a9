package pages

import (
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// Root is the path below which everything of ours is served.
const Root = "/.mfa/"

// maxBody is the most that a form or a passkey's answer may weigh.
const maxBody = 64 << 10

// Config is what Pages are made of. Every field without a note is required.
type Config struct {
	Gate  Gate
	Guard Guard
	Brand Brand
	// LinkOrigin returns the origin that a link in a letter begins with. nil: the
	// one that was asked, which is right only where nothing but hosts of ours gets
	// here. A letter with a host of a stranger's choice gives its link away (AC-169).
	LinkOrigin func(at *mfa.Place) string
	// Administration returns the administration as an actor may use it. nil: there is no
	// console.
	Administration func(mfa.Actor) Administration
	// Apps returns the origins of the apps, for links that an administrator hands over.
	// nil, or none: the one that was asked.
	Apps func() []string
	// Gates says what stands at an address, for who asks why somebody is stopped there.
	// nil: nobody can ask.
	Gates mfa.Gates
	// Portal is the host where people sign in for all others; nil: there is none, and each
	// has pages of its own.
	Portal *Portal
	// Doctor says what the proxies in between made of an administrator's request; nil: there
	// is no such page. Its facts hold no secret.
	Doctor func(r *http.Request, p doctor.Proxy) *doctor.Report
	// Console returns the origin of a host with a console, to which administrators are led;
	// nil, or "": there is none.
	Console func() string
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // told of our faults; nil: nobody is
}

// Pages serves the pages. It is safe for concurrent use.
type Pages struct {
	gate   Gate
	guard  Guard
	brand  brand
	origin func(*mfa.Place) string
	now    func() time.Time
	logger *slog.Logger
	csrf   *web.CSRF
	words  *catalogue
	assets *assets
	sheets map[string]*template.Template
	routes map[string]route
	with   map[string]route // below "sign-in/with/NAME", NAME being an identity source
	loops  loops
	// began counts how often a browser was sent straight on to an identity source.
	began loops

	administer func(mfa.Actor) Administration
	apps       func() []string
	gates      mfa.Gates
	portal     *Portal
	doctor     func(*http.Request, doctor.Proxy) *doctor.Report
	consoleAt  func() string
	console    map[string]consoleRoute // only on the host of a console
}

// route is one page: which handler answers which method. nil: not that method.
type route struct {
	get, post func(*visit)
	// call is a POST that another server makes: it has neither a cookie of ours nor the
	// token of a form, and proves by what it sends who it is.
	call func(*visit)
}

// New checks the configuration and parses every template, so that a mistake in
// one shows when the gateway starts and not when somebody needs the page.
func New(cfg Config) (*Pages, error) {
	if cfg.Gate == nil || cfg.Guard == nil {
		return nil, errors.New("making pages: a gate and a guard are needed")
	}
	p := &Pages{gate: cfg.Gate, guard: cfg.Guard, origin: cfg.LinkOrigin, now: cfg.Now, csrf: web.NewCSRF()}
	if p.origin == nil {
		p.origin = func(at *mfa.Place) string { return at.Origin }
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.logger = cfg.Logger; p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	if err := p.dress(cfg.Brand); err != nil {
		return nil, err
	}
	p.routes = map[string]route{
		"":                        {get: p.serveStart},
		"sign-in":                 {get: p.serveSignIn, post: p.postSignIn},
		"sign-out":                {get: p.serveSignOut, post: p.postSignOut},
		"link":                    {get: p.serveLink, post: p.postLink},
		"set-up":                  {get: p.serveSetUp, post: p.postSetUp},
		"set-up/passkey":          {get: p.serveSetUpPasskey},
		"set-up/passkey/begin":    {post: p.beginSetUpPasskey},
		"set-up/passkey/finish":   {post: p.finishSetUpPasskey},
		"set-up/totp":             {get: p.serveSetUpTOTP, post: p.postSetUpTOTP},
		"set-up/backup-codes":     {get: p.serveSetUpCodes, post: p.postSetUpCodes},
		"set-up/backup-codes.txt": {get: p.serveCodesFile},
		"verify":                  {get: p.serveVerify},
		"verify/passkey":          {get: p.serveVerifyPasskey},
		"verify/passkey/begin":    {post: p.beginVerifyPasskey},
		"verify/passkey/finish":   {post: p.finishVerifyPasskey},
		"verify/totp":             {get: p.serveVerifyTOTP, post: p.postVerifyTOTP},
		"verify/backup-code":      {get: p.serveVerifyCode, post: p.postVerifyCode},
		"verify/codes-left":       {get: p.serveCodesLeft},
		"verify/methods":          {get: p.serveMethods},
		"notices":                 {get: p.serveNotices, post: p.postNotices},
		"account":                 {get: p.serveAccount},
		"account/rename":          {get: p.serveRename, post: p.postRename},
		"account/remove":          {get: p.serveRemove, post: p.postRemove},
		"account/password":        {get: p.servePassword, post: p.postPassword},
		"account/opt-out":         {get: p.serveOptOut, post: p.postOptOut},
		"account/opt-in":          {post: p.postOptIn},
		"account/end-session":     {post: p.postEndSession},
		"account/end-others":      {post: p.postEndOthers},
		"preferences":             {post: p.postPreferences},

		// Codes that are sent, and secrets from an administrator.
		"verify/email":          {get: p.serveVerifySent(mfa.Email), post: p.postVerifySent(mfa.Email)},
		"verify/email/send":     {post: p.postSendCode(mfa.Email)},
		"verify/sms":            {get: p.serveVerifySent(mfa.SMS), post: p.postVerifySent(mfa.SMS)},
		"verify/sms/send":       {post: p.postSendCode(mfa.SMS)},
		"verify/bypass":         {get: p.serveBypass, post: p.postBypass},
		"set-up/email":          {get: p.serveSetUpAddress(mfa.Email), post: p.postSetUpAddress(mfa.Email)},
		"set-up/email/code":     {get: p.serveSetUpCode(mfa.Email), post: p.postSetUpCode(mfa.Email)},
		"set-up/email/send":     {post: p.postSetUpSend(mfa.Email)},
		"set-up/sms":            {get: p.serveSetUpAddress(mfa.SMS), post: p.postSetUpAddress(mfa.SMS)},
		"set-up/sms/code":       {get: p.serveSetUpCode(mfa.SMS), post: p.postSetUpCode(mfa.SMS)},
		"set-up/sms/send":       {post: p.postSetUpSend(mfa.SMS)},
		"set-up/confirm":        {get: p.serveConfirm, post: p.postConfirm},
		"set-up/confirm/send":   {post: p.postConfirmSend},
		"set-up/pass":           {get: p.servePass, post: p.postPass},
		"account/name":          {get: p.serveName, post: p.postName},
		"account/email":         {get: p.serveEmail, post: p.postEmail},
		"account/email/code":    {get: p.serveEmailCode, post: p.postEmailCode},
		"account/email/send":    {post: p.postEmailSend},
		"account/activity":      {get: p.serveActivity},
		"account/devices":       {get: p.serveDevices},
		"account/forget-device": {post: p.postForgetDevice},

		"account/app-tokens":        {get: p.serveTokens},
		"account/app-tokens/new":    {get: p.serveMakeToken, post: p.postMakeToken},
		"account/app-tokens/revoke": {get: p.serveRevokeToken, post: p.postRevokeToken},

		// For people who have proven nothing yet.
		"sign-in/code":           {get: p.serveSignInCode, post: p.postSignInCode},
		"sign-in/code/enter":     {get: p.serveSignInEnter, post: p.postSignInEnter},
		"sign-in/passkey/begin":  {post: p.beginSignInPasskey},
		"sign-in/passkey/finish": {post: p.finishSignInPasskey},
		"sign-up":                {get: p.serveSignUp, post: p.postSignUp},
		"sign-up/code":           {get: p.serveSignUpCode, post: p.postSignUpCode},
		"forgotten":              {get: p.serveForgotten, post: p.postForgotten},

		// Between the portal and other hosts.
		handOff:  {get: p.serveHandOff},
		"arrive": {get: p.serveArrive},
	}
	if p.portal = cfg.Portal; p.portal != nil && (p.portal.Origin == "" || p.portal.Serves == nil) {
		return nil, errors.New("making pages: the portal has no address, or knows no hosts")
	}
	p.with = map[string]route{
		"":              {get: p.serveSignInWith},
		"/callback":     {get: p.serveCallback},
		"/back-channel": {call: p.callBackChannel},
	}
	p.doctor, p.consoleAt = cfg.Doctor, cfg.Console
	p.began.within = time.Minute // the way there and back takes its time
	if p.administer, p.apps, p.gates = cfg.Administration, cfg.Apps, cfg.Gates; p.administer != nil {
		p.console = p.consoleRoutes()
		if p.doctor == nil {
			delete(p.console, pageDoctor)
		}
	}
	return p, nil
}

// Serves reports whether a cleaned path is one of ours.
func Serves(path string) bool {
	return path == strings.TrimSuffix(Root, "/") || strings.HasPrefix(path, Root)
}

// ServeHTTP answers one request below /.mfa/ on the host of an app.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.serve(w, r, false) }

// serve answers one request, on the host of a console or of an app.
func (p *Pages) serve(w http.ResponseWriter, r *http.Request, console bool) {
	// Below the app's strip a writer drops cookies of our names; ours are ours.
	w = guard.Plain(w)
	parse := p.guard.Parse
	if console {
		parse = p.guard.ParseOwn
	}
	req, err := parse(r)
	switch {
	case errors.Is(err, guard.ErrPlainHTTP):
		// The page that says so is a page like the others: what it loads is nobody's
		// secret, and is served to everybody.
		if file, ok := strings.CutPrefix(r.URL.Path, Root+"assets/"); ok {
			p.assets.serve(w, r, false, file)
			return
		}
		p.PlainHTTP(w, r)
		return
	case err != nil:
		p.guard.Reject(w, r, err)
		return
	}
	name := strings.TrimPrefix(strings.TrimPrefix(req.Path, strings.TrimSuffix(Root, "/")), "/")
	if file, ok := strings.CutPrefix(name, "assets/"); ok && Serves(req.Path) {
		p.assets.serve(w, r, req.HTTPS, file)
		return
	}
	v := p.visit(w, r, req, console)
	if console && !Serves(req.Path) && !req.Ambiguous {
		v.outsideConsole()
		return
	}
	if page, ok := p.console[name]; ok && console && !req.Ambiguous {
		p.serveConsole(v, page)
		return
	}
	rt, ok := p.route(v, name)
	if !ok || req.Ambiguous || console && !Serves(req.Path) {
		v.notFound()
		return
	}
	switch {
	case !v.servedLocally():
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && rt.get != nil:
		rt.get(v)
	case r.Method == http.MethodPost && rt.post != nil:
		r.Body = web.Body(w, r, maxBody)
		if v.ours() {
			rt.post(v)
		}
	case r.Method == http.MethodPost && rt.call != nil:
		r.Body = web.Body(w, r, maxBody)
		rt.call(v)
	default:
		v.methodNotAllowed(rt.get != nil, rt.post != nil || rt.call != nil)
	}
}

// methodNotAllowed says which methods the page has.
func (v *visit) methodNotAllowed(get, post bool) {
	allow := "GET, HEAD"
	switch {
	case !get:
		allow = "POST"
	case post:
		allow += ", POST"
	}
	v.w.Header().Set("Allow", allow)
	v.message(http.StatusMethodNotAllowed, messagePage{Heading: v.T("method.title"), Text: []string{v.T("method.text")}, Actions: []action{{Href: Root, Label: v.T("go.start")}}})
}

// serveStart is the door without a number: it opens on what the person owes, or
// on the account.
func (p *Pages) serveStart(v *visit) {
	if v.console && !v.portal && v.p.console != nil {
		v.redirect(Root + consoleHome) // which sends to sign-in whom it does not know
		return
	}
	if _, err := v.session(); err != nil {
		v.from = fromAccount
		v.noSession(err, "sign-in")
		return
	}
	v.redirect(v.Href("account"))
}
