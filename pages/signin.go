package pages

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type signInPage struct {
	frame
	Source    string // whose names and passwords the form takes; "": there is no form
	Action    string // where the form goes
	Name      string // as it was typed
	Label     string // of the field for it
	Passkeys  bool   // a passkey can be of use here
	Code      string // what the link to a code says; "": none signs in
	Forgotten bool   // a link for a new password can be sent
	Forgot    string // else: whom to ask for one
	SignUp    bool   // strangers may make an account

	Elsewhere []action // sources where people sign in themselves
	Before    bool     // … which stand before the form, and the first of them is what the page is for
	Forms     []action // sources with a form of their own
}

// signInPage begins the page with the ways in that this gateway has. chosen is the
// source whose form it has where that is one: else the first one's.
func (v *visit) signInPage(chosen string) signInPage {
	gate := v.p.gate
	page := signInPage{frame: v.frame(v.T("signin.title")), Action: v.Href("sign-in")}
	sources := v.usableSources()
	var form mfa.SourceInfo
	local, first := false, ""
	for _, s := range sources {
		local = local || s.Name == mfa.LocalSource
		if s.Kind == mfa.ByPassword && (form.Name == "" || s.Name == chosen) {
			form = s
		}
		if s.Kind == mfa.ByPassword && first == "" {
			first = s.Name
		}
	}
	for i, s := range sources {
		switch {
		case s.Kind == mfa.ByPassword && s.Name != form.Name:
			page.Forms = append(page.Forms, action{v.href("sign-in", paramSource, s.Name), v.T("signin.form", "source", v.sourceTitle(s))})
		case s.Kind != mfa.ByPassword:
			page.Elsewhere = append(page.Elsewhere, action{v.signInAddress(s), v.T("signin.with", "source", v.sourceTitle(s))})
			page.Before = page.Before || i == 0
		}
	}
	if form.Name != first {
		page.Action = v.href("sign-in", paramSource, form.Name)
	}
	if chosen != "" {
		page.Before = false // the form is what they came for
	}
	page.Before = page.Before || form.Name == ""
	if page.Source = form.Name; form.Name != "" {
		v.signInForm(&page, form)
	}
	if !local {
		return page
	}
	codes, signUp := gate.SignInWays(), gate.SignUpWays()
	// Whoever confirms their password here has nothing else set up (rule B15).
	page.Passkeys = v.at.RPID != "" && v.want == ""
	page.SignUp = signUp.Open() && v.want == ""
	switch email, sms := codes.Has(mfa.Email), codes.Has(mfa.SMS); {
	case email && sms:
		page.Code = v.T("signin.code.both")
	case email:
		page.Code = v.T("signin.code.email")
	case sms:
		page.Code = v.T("signin.code.sms")
	}
	return page
}

// signInForm says what the form of a source takes.
func (v *visit) signInForm(page *signInPage, s mfa.SourceInfo) {
	gate := v.p.gate
	title := v.sourceTitle(s)
	if s.Name != mfa.LocalSource {
		page.Label = v.T("signin.name.of", "source", title)
		page.Forgot = v.T("signin.forgot.there", "source", title, "support", v.helper())
		return
	}
	page.Label = v.who(true, gate.SignInWays()|gate.SignUpWays().Channels)
	if len(page.Forms) > 0 {
		page.Label = v.T("signin.name.of", "source", title)
	}
	if page.Forgotten = gate.CanForget(); !page.Forgotten {
		page.Forgot = v.T("signin.forgot", "support", v.helper())
	}
}

// who names a field that takes a user name, or an address of one of the channels.
func (v *visit) who(name bool, channels mfa.Kinds) string {
	email, sms := channels.Has(mfa.Email), channels.Has(mfa.SMS)
	switch {
	case name && email && sms:
		return v.T("who.all")
	case name && email:
		return v.T("who.name_email")
	case name && sms:
		return v.T("who.name_sms")
	case email && sms:
		return v.T("who.email_sms")
	case email:
		return v.T("who.email")
	case sms:
		return v.T("who.sms")
	}
	return v.T("signin.name")
}

// serveSignIn shows the form. Whoever is signed in already, in another tab or
// before the back button, goes on where they stand.
func (p *Pages) serveSignIn(v *visit) {
	if !v.stranger() {
		return
	}
	if v.signInAtOnce() {
		return
	}
	page := v.signInPage(v.query.Get(paramSource))
	switch {
	case v.view != nil && page.Source != "":
		// A page of ours waits for the password again (rule B15).
		page.Name, page.Notice = v.view.Subject.Name, v.T("signin.confirm")
	case v.view != nil:
		page.Notice = v.T("signin.confirm.there")
	case v.query.Get(paramAgain) == "late":
		page.Notice = v.T("signin.late")
	case v.circled:
		page.Notice = v.T("signin.circle", "support", v.helper())
	}
	v.render(http.StatusOK, "signin", page)
}

// stranger reports whether the page is for whoever asks: nobody is signed in here, or
// a page of ours waits for them to sign in again. It has answered where it reports
// false.
func (v *visit) stranger() bool {
	_, err := v.session()
	switch {
	case err == nil && v.want == "":
		if st, ok := v.state(); ok {
			v.proceed(&st.Outcome)
		}
		return false
	case err != nil && !errors.Is(err, mfa.ErrNoSession):
		v.unavailable(err)
		return false
	}
	return true
}

// postSignIn tries the name and password. Whatever is wrong with them, the
// answer is the same page with the same words, or names could be told apart.
func (p *Pages) postSignIn(v *visit) {
	name := v.form("name")
	source, ok := v.formSource()
	if !ok {
		// Nothing is asked of any source: the password is for the one whose form was seen.
		page := v.signInPage("")
		page.Error = v.T("signin.again")
		v.render(http.StatusUnprocessableEntity, "signin", page)
		return
	}
	if !v.replaces() {
		return
	}
	out, err := p.gate.SignIn(v.r.Context(), &v.at, source, name, v.form("password"))
	if err == nil {
		v.proceed(out)
		return
	}
	v.view = nil
	if errors.Is(err, mfa.ErrName) || errors.Is(err, mfa.ErrNameTaken) {
		// The password was right.
		s, _ := v.p.source(source, mfa.ByPassword)
		v.sourceFailed(s, err)
		return
	}
	page := v.signInPage(source)
	page.Name = name
	switch {
	case errors.Is(err, mfa.ErrRejected): // and with it a *mfa.ThrottledError
		page.Error = v.T("signin.rejected")
		v.render(http.StatusUnprocessableEntity, "signin", page)
	case errors.Is(err, mfa.ErrBusy):
		page.Error = v.T("busy")
		v.busyHeader()
		v.render(http.StatusServiceUnavailable, "signin", page)
	default:
		if s, ok := p.source(source, mfa.ByPassword); ok && source != mfa.LocalSource {
			// The password was right and the name cannot be used here, or the source is away.
			v.sourceFailed(s, err)
			return
		}
		v.unavailable(err)
	}
}

// replaces names the session that this browser holds, which a new sign-in ends.
// It has answered where it reports false: a store that cannot tell must not let
// the old one live on.
func (v *visit) replaces() bool {
	view, err := v.session()
	switch {
	case err == nil:
		v.at.Replaces = view.Session.ID
	case !errors.Is(err, mfa.ErrNoSession):
		v.unavailable(err)
		return false
	}
	return true
}

func (v *visit) busyHeader() { v.w.Header().Set("Retry-After", "5") }

// state asks where the session stands. It has answered where it reports false.
func (v *visit) state() (*mfa.State, bool) {
	id, ok := v.id()
	if !ok {
		return nil, false
	}
	st, err := v.p.gate.State(v.r.Context(), &v.at, id)
	if err != nil {
		v.fail(err)
		return nil, false
	}
	return st, true
}

// fail answers an error that no page has words of its own for: it is about the
// session, or a fault of ours.
func (v *visit) fail(err error) {
	switch {
	case errors.Is(err, mfa.ErrNoSession), errors.Is(err, mfa.ErrExpired):
		v.noSession(mfa.ErrNoSession, "sign-in")
	case errors.Is(err, mfa.ErrNotOwed):
		// Another tab went on; its cookie is this browser's, too.
		v.redirect(v.Href("verify"))
	case errors.Is(err, mfa.ErrDisabled):
		v.refused(mfa.Decision{Reason: mfa.ReasonDisabled})
	case errors.Is(err, mfa.ErrBusy):
		v.busy(err)
	default:
		v.unavailable(err)
	}
}

// wait puts a *mfa.ThrottledError into words beside the field, and returns the
// status.
func (f *frame) wait(throttled *mfa.ThrottledError) int {
	if throttled.Locked {
		f.FieldError = f.T("locked", "support", f.Helper())
		return http.StatusTooManyRequests
	}
	f.Wait = int((throttled.RetryAfter + time.Second - 1) / time.Second)
	f.FieldError = f.T("throttled", "time", f.v.duration(throttled.RetryAfter))
	f.v.w.Header().Set("Retry-After", strconv.Itoa(f.Wait))
	return http.StatusTooManyRequests
}

// duration says how long something takes, rounded up to what people count in.
func (v *visit) duration(d time.Duration) string {
	up := func(unit time.Duration) int { return int((d + unit - 1) / unit) }
	switch {
	case d <= 90*time.Second:
		return v.words.count("time.second", up(time.Second))
	case d <= 90*time.Minute:
		return v.words.count("time.minute", up(time.Minute))
	case d <= 36*time.Hour:
		return v.words.count("time.hour", up(time.Hour))
	}
	return v.words.count("time.day", up(24*time.Hour))
}
