package pages

import (
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/qr"
	"github.com/secondgate/secondgate/mfa"
)

// setUpFrame is what every page of a set-up shows.
type setUpFrame struct {
	frame
	Step        string // "Step 1 of 2"
	FromAccount bool   // by choice: back to the account is always a way out
	Away        string // where a route asks for more: the app's start
}

type setUpPage struct {
	setUpFrame
	Intro string
	Ways  []way
}

type setUpTOTPPage struct {
	setUpFrame
	QR     template.HTML
	URI    template.URL
	Secret string
}

type setUpCodesPage struct {
	setUpFrame
	Codes    []string
	Replaces bool
	File     string // name of the download
}

// setUp asks whether this session is to set something up now, and has answered
// where it reports false: something else is owed first, a newer proof is needed,
// or enrollment is closed.
func (v *visit) setUp() (*mfa.State, bool) {
	st, ok := v.state()
	if !ok {
		return nil, false
	}
	byChoice := st.Decision.Action == mfa.Allow && st.Session.Complete && v.from != "" && !st.Changed
	if st.Decision.Action != mfa.SetUp && !byChoice {
		v.proceed(&st.Outcome)
		return nil, false
	}
	switch {
	case st.Closed:
		v.closed(st)
		return nil, false
	case st.Confirm != "":
		v.redirect(v.Href("set-up/confirm"))
		return nil, false
	case st.ProofOwed:
		var kinds mfa.Kinds
		for _, m := range st.Methods {
			kinds |= mfa.KindsOf(m.Kind)
		}
		v.redirect(v.proveFor(v.setUpPage(), kinds))
		return nil, false
	}
	return st, true
}

func (v *visit) setUpFrame(st *mfa.State, heading string) setUpFrame {
	f := setUpFrame{frame: v.frame(heading), FromAccount: v.from == fromAccount && st.Decision.Action == mfa.Allow}
	if st.Decision.Action == mfa.SetUp && st.Decision.Skippable && !st.Session.Complete {
		f.Skip, f.SkipMeans = true, v.skipMeans(st)
	}
	if len(st.Choices) < 2 && st.Decision.Action == mfa.SetUp {
		f.Why = v.setUpWhy(st) // no list said it before
	}
	if st.Decision.Action == mfa.SetUp && st.Session.Complete && v.rd != "" && v.rd != v.origin+"/" {
		f.Away = v.closedAway() // one part of the app is closed, the rest is not
	}
	if st.Decision.Action == mfa.SetUp && st.Decision.Reason != mfa.ReasonAddAnother && !st.Session.Complete && st.CodesOffered && !held(st.Subject, mfa.BackupCode) {
		f.Step = v.T("setup.step1")
		if st.Decision.Reason == mfa.ReasonNoCodes {
			f.Step = ""
			if st.Session.Enrolled {
				f.Step = v.T("setup.step2")
			}
		}
	}
	return f
}

// routeNeeds reports whether the route that the person came from asks for more
// than the policy does.
func routeNeeds(st *mfa.State) bool {
	need := st.Decision.Need
	return st.Decision.Reason == mfa.ReasonNeedsFactor || need.Factors != 0 || need.PhishingResistant
}

// setUpWhy says why somebody who saw no list is asked to set something up.
func (v *visit) setUpWhy(st *mfa.State) string {
	switch {
	case routeNeeds(st):
		for _, c := range st.Choices {
			switch c.Kind {
			case mfa.Passkey:
				return v.T("setup.needs.passkey")
			case mfa.TOTP:
				return v.T("setup.needs.totp")
			case mfa.Email:
				return v.T("setup.needs.email")
			case mfa.SMS:
				return v.T("setup.needs.sms")
			}
		}
		return ""
	case st.Decision.Reason == mfa.ReasonOnlyCodes:
		return v.T("setup.only_codes.intro")
	case st.Decision.Reason == mfa.ReasonNoCodes, st.Decision.Reason == mfa.ReasonAddAnother:
		return ""
	case st.Decision.Reason == mfa.ReasonBypassed:
		return v.T("setup.bypassed.intro")
	}
	return v.T("setup.why")
}

func (v *visit) skipMeans(st *mfa.State) string {
	switch {
	case st.Decision.Reason == mfa.ReasonNoCodes:
		return v.T("skip.codes")
	case st.Decision.Reason == mfa.ReasonBypassed:
		return v.T("skip.bypassed", "support", v.helper())
	case st.Decision.Reason == mfa.ReasonAddAnother && !sameChannel(st):
		return v.T("skip.another")
	case !st.GraceEnds.IsZero():
		days := int((st.GraceEnds.Sub(v.p.now()) + 24*time.Hour - 1) / (24 * time.Hour))
		return v.words.count("skip.grace", max(days, 1))
	}
	return v.T("skip.prompt")
}

func held(s *mfa.Subject, k mfa.Kind) bool {
	for _, h := range s.Held {
		if h.Kind == k && h.Enrolled() {
			return true
		}
	}
	return false
}

// others returns the address of the list where more than one factor can be set
// up, or "".
func (v *visit) others(st *mfa.State) string {
	if len(st.Choices) < 2 && st.Decision.Reason != mfa.ReasonAddAnother {
		return ""
	}
	return v.href("set-up", paramList, "1")
}

// setUpHref is the page that sets up a kind.
func setUpHref(k mfa.Kind) string {
	switch k {
	case mfa.Passkey:
		return "set-up/passkey"
	case mfa.TOTP:
		return "set-up/totp"
	case mfa.BackupCode:
		return "set-up/backup-codes"
	case mfa.Email, mfa.SMS:
		return setUpAddressHref(k)
	}
	return "set-up"
}

// serveSetUp lists what can be set up; one factor opens its page (rule B11).
func (p *Pages) serveSetUp(v *visit) {
	st, ok := v.setUp()
	if !ok {
		return
	}
	if st.Decision.Reason == mfa.ReasonNoCodes {
		v.redirect(v.Href("set-up/backup-codes"))
		return
	}
	// Another second step is an offer of its own, whatever there is to choose.
	single := len(st.Choices) == 1 && st.Decision.Reason != mfa.ReasonAddAnother
	if single && st.Choices[0].Available && v.query.Get(paramList) == "" {
		v.redirect(v.Href(setUpHref(st.Choices[0].Kind)))
		return
	}
	if st.Decision.Action == mfa.SetUp && !slices.ContainsFunc(st.Choices, func(c mfa.Choice) bool { return c.Available }) {
		v.setUpStuck(st)
		return
	}
	heading, intro := v.setUpWords(st)
	page := setUpPage{setUpFrame: v.setUpFrame(st, heading), Intro: intro, Ways: v.choices(st.Choices)}
	if st.Decision.Reason == mfa.ReasonAddAnother {
		page.Ways = slices.Concat(v.present(st), page.Ways)
	}
	v.render(http.StatusOK, "setup", page)
}

// setUpStuck answers where a factor is to be set up and none can be here.
func (v *visit) setUpStuck(st *mfa.State) {
	m := messagePage{
		Heading: v.T("setup.stuck.title"), Context: true, ID: v.noted(mfa.ReasonCannotBeHere), Ways: v.choices(st.Choices),
		Text:    []string{v.T("setup.stuck.text", "support", v.helper())},
		Actions: []action{{Href: v.Href("sign-out"), Label: v.T("go.signout")}},
	}
	if st.Decision.Skippable && !st.Session.Complete {
		m.SkipMeans = v.skipMeans(st)
	}
	v.message(http.StatusForbidden, m)
}

func (v *visit) choices(list []mfa.Choice) []way {
	var ways []way
	for _, c := range list {
		w := way{Icon: string(c.Kind), Name: v.kind(c.Kind), What: v.kindWhat(c.Kind), Href: v.Href(setUpHref(c.Kind))}
		if !c.Available {
			w.Why = v.why(c.Why, "", 0)
		}
		ways = append(ways, w)
	}
	return ways
}

// sameChannel reports whether what was set up is what signed in, so that it proves
// nothing further (rules B12, B27).
func sameChannel(st *mfa.State) bool { return held(st.Subject, st.Session.First.Kind) }

// present lists what the person has already, where another is offered: greyed out,
// with the reason (rule B12).
func (v *visit) present(st *mfa.State) []way {
	var ways []way
	for _, k := range mfa.PrimaryKinds.List() {
		offered := slices.ContainsFunc(st.Choices, func(c mfa.Choice) bool { return c.Kind == k })
		if !held(st.Subject, k) || offered {
			continue
		}
		w := way{Icon: string(k), Name: v.kind(k), Why: v.T("why.present")}
		if st.Session.First.Kind == k {
			w.Why = v.T("why.signed_in")
		}
		ways = append(ways, w)
	}
	return ways
}

// setUpWords says why the page is there.
func (v *visit) setUpWords(st *mfa.State) (heading, intro string) {
	switch {
	case st.Decision.Action == mfa.Allow:
		return v.T("setup.add.title"), v.T("setup.add.intro")
	case routeNeeds(st):
		return v.T("setup.needs.title"), v.T("setup.needs.intro")
	case st.Decision.Reason == mfa.ReasonOnlyCodes:
		return v.T("setup.only_codes.title"), v.T("setup.only_codes.intro")
	case st.Decision.Reason == mfa.ReasonBypassed:
		return v.T("setup.bypassed.title"), v.T("setup.bypassed.intro")
	case st.Decision.Reason == mfa.ReasonAddAnother && sameChannel(st):
		return v.T("setup.another.title"), v.T("setup.another.same")
	case st.Decision.Reason == mfa.ReasonAddAnother:
		return v.T("setup.another.title"), v.T("setup.another.intro")
	case st.Decision.Skippable:
		return v.T("setup.title"), v.T("setup.prompt.intro")
	}
	return v.T("setup.title"), v.T("setup.intro")
}

// postSetUp skips what may be skipped.
func (p *Pages) postSetUp(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.Skip(v.r.Context(), &v.at, id)
	switch {
	case err == nil:
		v.proceed(out)
	case errors.Is(err, mfa.ErrNotAllowed):
		v.redirect(v.Href("set-up")) // it may not be skipped any more; the page says so
	default:
		v.fail(err)
	}
}

// setUpFactor is setUp for the page of one factor. Where another tab set one up
// meanwhile and only codes are owed, it goes on to them.
func (v *visit) setUpFactor() (*mfa.State, bool) {
	st, ok := v.setUp()
	if ok && st.Decision.Action == mfa.SetUp && st.Decision.Reason == mfa.ReasonNoCodes {
		v.redirect(v.Href("set-up/backup-codes"))
		return nil, false
	}
	return st, ok
}

func (p *Pages) serveSetUpPasskey(v *visit) {
	st, ok := v.setUpFactor()
	if !ok {
		return
	}
	for _, c := range st.Choices {
		if c.Kind == mfa.Passkey && c.Available {
			page := passkeyPage{setUpFrame: v.setUpFrame(st, v.T("setup.passkey.title"))}
			page.Others = v.others(st)
			v.render(http.StatusOK, "setup_passkey", page)
			return
		}
	}
	v.redirect(v.href("set-up", paramList, "1")) // the list says why
}

func (p *Pages) serveSetUpTOTP(v *visit) {
	st, ok := v.setUpFactor()
	if !ok {
		return
	}
	page := setUpTOTPPage{setUpFrame: v.setUpFrame(st, v.T("setup.totp.title"))}
	if v.query.Get(paramAgain) != "" {
		page.Notice = v.T("setup.totp.late")
	}
	v.showTOTP(http.StatusOK, st, page)
}

func (v *visit) showTOTP(status int, st *mfa.State, page setUpTOTPPage) {
	setup, err := v.p.gate.BeginTOTP(v.r.Context(), &v.at, st.Session.ID)
	if err != nil {
		v.setUpFailed(err)
		return
	}
	svg, err := qr.SVG(string(setup.URI), 208)
	if err != nil {
		v.unavailable(err)
		return
	}
	// Both come from our own code: a drawing of squares, and an otpauth address
	// that the factor's package escaped.
	page.QR, page.URI = template.HTML(svg), template.URL(string(setup.URI)) //nolint:gosec
	page.Secret = string(setup.Secret)
	page.Others = v.others(st)
	v.render(status, "setup_totp", page)
}

func (p *Pages) postSetUpTOTP(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.FinishTOTP(v.r.Context(), &v.at, id, v.form("code"), "")
	if err == nil {
		v.proceed(out)
		return
	}
	if errors.Is(err, mfa.ErrExpired) && v.live() {
		v.redirect(v.href("set-up/totp", paramAgain, "late"))
		return
	}
	if !errors.Is(err, mfa.ErrRejected) {
		v.setUpFailed(err)
		return
	}
	st, ok := v.setUp()
	if !ok {
		return
	}
	page := setUpTOTPPage{setUpFrame: v.setUpFrame(st, v.T("setup.totp.title"))}
	status := page.codeFailed(err, "setup.totp.wrong")
	v.showTOTP(status, st, page)
}

// live reports whether the session itself still stands: what expired was a part
// of it.
func (v *visit) live() bool {
	view, err := v.session()
	return err == nil && v.p.now().Before(view.Session.Expires)
}

// codeFailed puts a rejection into words beside the code field, and returns the
// status. A used code reads like a wrong one.
func (f *frame) codeFailed(err error, wrong string) int {
	var throttled *mfa.ThrottledError
	var clock *mfa.ClockError
	switch {
	case errors.As(err, &throttled):
		return f.wait(throttled)
	case errors.As(err, &clock):
		f.FieldError = f.T("code.clock")
	default:
		f.FieldError = f.T(wrong)
	}
	return http.StatusUnprocessableEntity
}

// setUpFailed answers what stops a set-up.
func (v *visit) setUpFailed(err error) {
	var proof *mfa.ProofError
	switch {
	case errors.As(err, &proof):
		v.redirect(v.proveFor(v.setUpPage(), proof.Kinds))
	case errors.Is(err, mfa.ErrConfirmFirst):
		v.redirect(v.Href("set-up/confirm"))
	case errors.Is(err, mfa.ErrEnrollmentClosed):
		v.closed(nil)
	case errors.Is(err, mfa.ErrLimit), errors.Is(err, mfa.ErrNotAllowed):
		v.redirect(v.href("set-up", paramList, "1")) // the list says why
	default:
		v.fail(err)
	}
}

func (p *Pages) serveSetUpCodes(v *visit) {
	v.showCodes(http.StatusOK, "")
}

func (v *visit) showCodes(status int, fieldError string) {
	st, ok := v.setUp()
	if !ok {
		return
	}
	if st.Decision.Action == mfa.SetUp && st.Decision.Reason != mfa.ReasonNoCodes {
		v.redirect(v.Href("set-up")) // codes come after a first factor
		return
	}
	codes, err := v.p.gate.BeginCodes(v.r.Context(), &v.at, st.Session.ID)
	if errors.Is(err, mfa.ErrNotAllowed) {
		v.redirect(v.onward())
		return
	}
	if err != nil {
		v.setUpFailed(err)
		return
	}
	page := setUpCodesPage{setUpFrame: v.setUpFrame(st, v.T("setup.codes.title")), Codes: codes, File: v.codesFile()}
	page.Replaces = held(st.Subject, mfa.BackupCode)
	page.FieldError = fieldError
	if v.query.Get(paramAgain) != "" {
		page.Notice = v.T("setup.codes.late")
	}
	if st.Decision.Action == mfa.Allow && page.Replaces {
		page.Others = v.onward()
	}
	v.render(status, "setup_codes", page)
}

func (v *visit) codesFile() string {
	return strings.ReplaceAll(v.T("setup.codes.file", "place", v.req.Place.Host), ":", "-")
}

// serveCodesFile is the download, which works without scripts.
func (p *Pages) serveCodesFile(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	codes, err := p.gate.PendingCodes(v.r.Context(), &v.at, id)
	if errors.Is(err, mfa.ErrExpired) {
		v.redirect(v.Href("set-up/backup-codes"))
		return
	}
	if err != nil {
		v.fail(err)
		return
	}
	view, err := v.session()
	if err != nil {
		v.fail(err)
		return
	}
	var b strings.Builder
	b.WriteString(v.T("setup.codes.text.head", "place", v.req.Place.Host, "name", view.Subject.Name) + "\r\n")
	b.WriteString(v.T("setup.codes.text.what") + "\r\n\r\n")
	for _, code := range codes {
		b.WriteString(code + "\r\n")
	}
	b.WriteString("\r\n" + v.T("setup.codes.text.made", "date", v.day(p.now())) + "\r\n")
	v.sendText(b.String(), v.codesFile())
}

func (p *Pages) postSetUpCodes(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	if v.form("saved") != "yes" {
		v.showCodes(http.StatusUnprocessableEntity, v.T("setup.codes.tick"))
		return
	}
	out, err := p.gate.ConfirmCodes(v.r.Context(), &v.at, id)
	switch {
	case err == nil:
		v.proceed(out)
	case errors.Is(err, mfa.ErrExpired) && v.live():
		// They waited too long and were never valid: new ones are shown.
		v.redirect(v.href("set-up/backup-codes", paramAgain, "late"))
	default:
		v.setUpFailed(err)
	}
}
