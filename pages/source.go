package pages

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Why the sign-in page is shown although there is nothing to choose on it.
const (
	againOut   = "out"   // the person has just signed out
	againOther = "other" // what they chose did not work
)

// source returns the identity source of that name, where there is one of that kind.
func (p *Pages) source(name string, kind mfa.SourceKind) (mfa.SourceInfo, bool) {
	for _, s := range p.gate.SignInSources() {
		if s.Name == name && s.Kind == kind {
			return s, true
		}
	}
	return mfa.SourceInfo{}, false
}

// sourceTitle is what people call a source.
func (v *visit) sourceTitle(s mfa.SourceInfo) string {
	switch {
	case s.Name == mfa.LocalSource && (s.Title == "" || s.Title == s.Name):
		return v.p.brand.Name // nobody knows it by that name
	case s.Title == "":
		return s.Name
	}
	return s.Title
}

// sourceNamed is sourceTitle of the source of that name, which may be gone.
func (v *visit) sourceNamed(name string) string {
	for _, s := range v.p.gate.SignInSources() {
		if s.Name == name {
			return v.sourceTitle(s)
		}
	}
	return name
}

// usableSources are the sources that whoever asks can sign in at, in their order. Whom
// something before the gate has established can be nobody else (rule B26), and what has
// established nobody is no way in. Where a page of ours waits for somebody to sign in
// again, it is the source that they come from (rule B15).
func (v *visit) usableSources() []mfa.SourceInfo {
	var list []mfa.SourceInfo
	own := ""
	if v.view != nil && v.want != "" {
		own = v.view.Subject.Source
	}
	for _, s := range v.p.gate.SignInSources() {
		switch {
		case v.established(s):
			return []mfa.SourceInfo{s}
		case s.Name == own && s.Kind == mfa.ByClaim:
			return nil
		case s.Name == own:
			list, own = []mfa.SourceInfo{s}, "-" // no source has that name
		case s.Kind != mfa.ByClaim && own != "-":
			list = append(list, s)
		}
	}
	return list
}

// established reports whether the source takes an identity that was established before
// the gate for this request.
func (v *visit) established(s mfa.SourceInfo) bool {
	return s.Kind == mfa.ByClaim && v.at.Established.Subject != "" && v.at.Established.Source == s.Name
}

// signInAddress is where a sign-in at that source begins.
func (v *visit) signInAddress(s mfa.SourceInfo) string {
	switch s.Kind {
	case mfa.ByPassword:
		return v.href("sign-in", paramSource, s.Name)
	case mfa.ByRedirect:
		return v.Href(withSource + s.Name)
	}
	return v.Href("sign-in") // which takes what is established
}

// signInAgain is the address of the sign-in page for whoever has just signed out: it must
// not sign them in again at once.
func (v *visit) signInAgain() string {
	for _, s := range v.p.gate.SignInSources() {
		if s.Kind != mfa.ByPassword {
			return v.href("sign-in", paramAgain, againOut)
		}
	}
	return v.Href("sign-in")
}

// formSource returns the password source that the form was for. It names it itself,
// because a name and a password go to nobody but the source whose form was seen. A form
// that names none is taken where there is only one.
func (v *visit) formSource() (string, bool) {
	if name := v.form("source"); name != "" {
		s, ok := v.p.source(name, mfa.ByPassword)
		return s.Name, ok
	}
	only := ""
	for _, s := range v.p.gate.SignInSources() {
		switch {
		case s.Kind != mfa.ByPassword:
		case only != "":
			return "", false
		default:
			only = s.Name
		}
	}
	return only, only != ""
}

// signInAtOnce answers where there is nothing to choose on the sign-in page: whoever was
// established before the gate is signed in, and the only source there is begins. It
// reports whether it has answered.
func (v *visit) signInAtOnce() bool {
	sources := v.usableSources()
	if len(sources) == 0 {
		v.refused(mfa.Decision{Reason: mfa.ReasonNotEstablished})
		return true
	}
	first := sources[0]
	switch {
	case !v.navigates():
	case first.Kind == mfa.ByClaim:
		return v.signInEstablished(first)
	case first.Kind == mfa.ByRedirect && len(sources) == 1 && v.want == "" && v.query.Get(paramAgain) == "" && !v.fromOurPage():
		if v.goesRound() {
			v.circled = true
			return false
		}
		v.redirect(v.signInAddress(first))
		return true
	}
	return false
}

// fromOurPage reports whether one of our own pages led here. It is shown then: a browser
// takes nobody from a form of ours to another origin (form-action), over whatever
// redirects, and who has just come from there wants to see where they are.
func (v *visit) fromOurPage() bool {
	from, err := url.Parse(v.r.Referer())
	return err == nil && Serves(from.Path)
}

// goesRound reports whether this browser was sent on to the only source again and again
// on its way to one address: something keeps it from staying signed in.
func (v *visit) goesRound() bool {
	browser := v.p.guard.Redirect(v.r, v.req)
	if browser == "" {
		return false // it has not been there, or keeps no cookie: the way back says so
	}
	return v.p.began.closes(bounce{mfa.SessionID(browser), sha256.Sum256([]byte(v.req.Target))}, v.p.now())
}

// signInEstablished signs in whom something before the gate has established. It reports
// whether it has answered.
func (v *visit) signInEstablished(s mfa.SourceInfo) bool {
	if v.want == "" && v.query.Get(paramCookie) != "" {
		// They were signed in just now, and the browser did not keep it. Another try would
		// go round in circles.
		v.cookieLost()
		return true
	}
	if v.view != nil && v.p.now().Sub(v.view.Session.First.At) < time.Minute {
		return false // they were, and the page that waits asks again: the person decides
	}
	if !v.replaces() {
		return true
	}
	out, err := v.p.gate.SignInEstablished(v.r.Context(), &v.at)
	switch {
	case err != nil:
		v.sourceFailed(s, err)
	case v.want != "":
		v.proceed(out)
	default:
		// Over this page, which sees whether the cookie was kept.
		v.proceedTo("sign-in", out)
	}
	return true
}

// sourceFailed says why a sign-in at a source led nowhere, and what to do. Nothing of what
// the source has sent is shown (AC-133).
func (v *visit) sourceFailed(s mfa.SourceInfo, err error) {
	title := v.sourceTitle(s)
	status := http.StatusForbidden
	m := messagePage{Heading: v.T("source.rejected.title"), Context: true}
	var throttled *mfa.ThrottledError
	switch {
	case errors.Is(err, mfa.ErrExpired):
		status, m.Heading, m.Text = http.StatusBadRequest, v.T("source.late.title"), []string{v.T("source.late.text", "source", title)}
	case errors.Is(err, mfa.ErrDenied):
		m.Text = []string{v.T("source.denied.text", "source", title), v.T("source.ask", "support", v.helper())}
	case errors.Is(err, mfa.ErrNameTaken):
		status = http.StatusConflict
		m.Text = []string{v.T("source.taken.text", "source", title), v.T("source.taken.ask", "support", v.helper())}
	case errors.Is(err, mfa.ErrName):
		m.Text = []string{v.T("source.name.text", "source", title), v.T("source.taken.ask", "support", v.helper())}
	case errors.As(err, &throttled):
		// Of the network: nobody is known yet.
		f := frame{v: v}
		status = f.wait(throttled)
		m.Heading, m.Text = v.T("source.busy.title"), []string{f.FieldError}
	case errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrDisabled):
		// Whether the answer did not hold or the user is disabled here is nobody's business
		// who has not signed in.
		m.Text = []string{v.T("source.rejected.text", "source", title), v.T("source.ask", "support", v.helper())}
	case errors.Is(err, mfa.ErrBusy):
		v.busy(err)
		return
	case errors.Is(err, mfa.ErrNotAllowed):
		v.notFound() // it was taken out of the configuration just now
		return
	default:
		v.fault(err)
		v.busyHeader()
		status = http.StatusServiceUnavailable
		m.Heading = v.T("source.unreachable.title", "source", title)
		m.Text = []string{v.T("source.unreachable.text"), v.T("unavailable.ask", "support", v.helper())}
	}
	m.Actions = []action{{Href: v.signInAddress(s), Label: v.T("try_again")}}
	if v.view != nil && v.want == "" {
		m.Actions = []action{{Href: v.onward(), Label: v.T("go.on", "place", v.req.Place.Host)}}
	} else if len(v.usableSources()) > 1 {
		m.Actions = append(m.Actions, action{Href: v.href("sign-in", paramAgain, againOther), Label: v.T("source.other")})
	}
	v.message(status, m)
}
