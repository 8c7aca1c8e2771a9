package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// Portal is the host where people sign in for all the others.
type Portal struct {
	Origin string // "https://auth.example.com"
	// Serves reports whether an origin, as browsers write it, is one of a protected host of
	// the configuration. The portal sends people to no other.
	Serves func(origin string) bool
}

// handOff is the page of the portal from which people go on to another host.
const handOff = "hand-off"

// local are the pages that a host serves itself where there is a portal: what is about its
// own cookies. For all others it leads to the portal.
var local = []string{"arrive", "sign-out", "preferences"}

// path is what stands behind the origin in the address that the person goes to.
func (v *visit) path() string { return v.rd[len(v.origin):] }

// place names the host that the person goes to, or is at.
func (v *visit) place() string {
	if v.origin != "" {
		if u, err := url.Parse(v.origin); err == nil {
			return u.Host
		}
	}
	return v.req.Place.Host
}

// home is where somebody goes who was going nowhere in particular.
func (v *visit) home() string {
	if v.portal {
		return Root + "account"
	}
	return "/"
}

// away is the address of the way back: at the portal that of the page which sees to it that
// the other host knows the person.
func (v *visit) away() string {
	switch {
	case v.rd == "":
		return v.home()
	case v.origin == "":
		return v.rd
	}
	q := v.asks()
	q.Set(paramReturn, v.rd)
	return join(handOff, q)
}

// closedAway leads to where the person was going without the part that is closed to them.
func (v *visit) closedAway() string {
	if v.origin == "" {
		return "/"
	}
	return join(handOff, url.Values{paramReturn: {v.origin + "/"}})
}

// toPortal leads from a page that the host of an app does not serve itself to the same one
// of the portal, and from there back to this host.
func (v *visit) toPortal() {
	q := v.carried()
	q.Del(paramReturn)
	if v.p.portal.Serves(v.req.Place.Origin) {
		back := v.rd
		if back == "" {
			back = "/"
		}
		q.Set(paramReturn, v.req.Place.Origin+back)
	}
	v.redirect(v.p.portal.Origin + join(v.page(), q))
}

// share gives the browser the domain's session that follows from the portal's, whenever
// that one changes: so the domain's hosts know whoever signed in last, and what they have
// proven since.
func (v *visit) share(out *mfa.Outcome) error {
	if !v.portal || !out.Changed || !out.Session.Complete {
		return nil
	}
	_, err := v.handOn(out.Session.ID)
	return err
}

// handOn reports whether the portal could give the browser the domain's session.
func (v *visit) handOn(id mfa.SessionID) (bool, error) {
	shared, ok := v.p.guard.Shared(v.req)
	if !ok {
		return false, nil
	}
	var replaces mfa.SessionID
	switch view, err := v.p.guard.Session(v.r, shared); {
	case err == nil:
		replaces = view.Session.ID
	case !errors.Is(err, mfa.ErrNoSession):
		return false, err
	}
	out, err := v.p.gate.HandOn(v.r.Context(), &v.at, id, shared.Place.Scope, replaces)
	if err != nil {
		return false, err
	}
	return true, guard.Keep(v.p.guard, v.w, shared, out)
}

// sharedSession returns the domain's session that this browser holds, where this is the
// portal, or mfa.ErrNoSession. It may be of somebody who was signed in before, and who signs
// out means all of it.
func (v *visit) sharedSession() (*session.View, error) {
	if !v.portal {
		return nil, mfa.ErrNoSession
	}
	shared, ok := v.p.guard.Shared(v.req)
	if !ok {
		return nil, mfa.ErrNoSession
	}
	return v.p.guard.Session(v.r, shared)
}

// clearShared takes the domain's cookie away, where this is the portal.
func (v *visit) clearShared() {
	if !v.portal {
		return
	}
	if shared, ok := v.p.guard.Shared(v.req); ok {
		v.p.guard.ClearSession(v.w, shared)
	}
}

// serveHandOff is the last page of the portal on the way to another host. It gives the host
// what it needs to know the person, and shows itself only for as long as that takes.
func (p *Pages) serveHandOff(v *visit) {
	switch {
	case !v.portal:
		v.notFound()
		return
	case v.rd == "":
		v.redirect(v.home())
		return
	}
	st, ok := v.state()
	if !ok {
		return
	}
	if st.Decision.Action != mfa.Allow {
		v.proceed(&st.Outcome)
		return
	}
	if err := guard.Keep(p.guard, v.w, v.req, &st.Outcome); err != nil {
		v.unavailable(err)
		return
	}
	mark := v.query.Get(paramMark)
	if to := v.rd; p.guard.Shares(v.origin) {
		if _, err := v.handOn(st.Session.ID); err != nil {
			v.fail(err)
			return
		}
		v.leave(st.Session, to)
		return
	}
	q := v.asks()
	q.Set(paramReturn, v.path())
	if v.query.Get(paramAgain) == againArrive {
		q.Set(paramAgain, againArrive)
	}
	if mark == "" {
		// The host first binds what comes to this browser.
		v.goTo(v.origin + join("arrive", q))
		return
	}
	code, err := p.gate.BeginHandOff(v.r.Context(), &v.at, st.Session.ID, mfa.HandOff{Origin: v.origin, Mark: mark})
	if err != nil {
		v.handOffFailed(err)
		return
	}
	q.Set(paramCode, code)
	v.leave(st.Session, v.origin+join("arrive", q))
}

func (v *visit) handOffFailed(err error) {
	switch {
	case errors.Is(err, mfa.ErrRejected): // a *mfa.ThrottledError
		v.busy(err)
	case errors.Is(err, mfa.ErrNotAllowed):
		v.notFound() // the address was made up
	default:
		v.fail(err)
	}
}

// leave is goTo unless the person has been sent there again and again.
func (v *visit) leave(s *mfa.Session, to string) {
	q := v.asks()
	q.Set(paramReturn, v.rd)
	if !v.circlesAt(s, join(handOff, q), v.away()) {
		v.goTo(to)
	}
}

// goTo leads to another host. A redirect that follows a form of ours would be stopped by
// our own policy, which keeps forms from being sent elsewhere, and with it every redirect
// of the other host: so a page comes between that goes on by itself.
func (v *visit) goTo(to string) {
	if from := v.r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" {
		v.redirect(to)
		return
	}
	m := messagePage{
		Heading: v.T("handoff.title", "place", v.place()), Text: []string{v.T("handoff.text")},
		Actions: []action{{Href: to, Label: v.T("go.on", "place", v.place())}},
	}
	m.Refresh = to
	v.message(http.StatusOK, m)
}

// serveArrive takes people in who come from the portal. Without a code it begins a
// hand-off: the browser keeps a secret here, and the portal gets the mark of it.
func (p *Pages) serveArrive(v *visit) {
	switch {
	case p.portal == nil || v.console:
		v.notFound()
		return
	case !p.portal.Serves(v.req.Place.Origin):
		v.refused(mfa.Decision{Reason: mfa.ReasonUnknownHost})
		return
	}
	code := v.query.Get(paramCode)
	if code == "" {
		v.depart(v.query.Get(paramAgain) == againArrive)
		return
	}
	secret := p.guard.Arrival(v.r, v.req)
	if !v.replaces() {
		return
	}
	out, err := p.gate.FinishHandOff(v.r.Context(), &v.at, code, secret)
	p.guard.SetArrival(v.w, v.req, "")
	switch {
	case err == nil:
		if err := v.keep(out); err != nil {
			v.unavailable(err)
			return
		}
		v.redirect(v.away())
	case !errors.Is(err, mfa.ErrRejected) && !errors.Is(err, mfa.ErrExpired):
		v.unavailable(err)
	case v.query.Get(paramAgain) != againArrive:
		// Another tab came between, or the person was slow. Once more is not noticed; an
		// address that somebody stole leads the thief to sign in (AC-219).
		v.depart(true)
	case secret == "":
		v.cookieLost()
	default:
		v.message(http.StatusForbidden, messagePage{
			Heading: v.T("arrive.title"), Text: []string{v.T("arrive.text"), v.T("arrive.ask", "support", v.helper())},
			Actions: []action{{Href: v.away(), Label: v.T("try_again")}},
		})
	}
}

// depart leads to the portal, which sends back with a code.
func (v *visit) depart(again bool) {
	secret := mfa.NewHandOffSecret()
	v.p.guard.SetArrival(v.w, v.req, secret)
	q := v.asks()
	back := v.rd
	if back == "" {
		back = "/"
	}
	q.Set(paramReturn, v.req.Place.Origin+back)
	q.Set(paramMark, mfa.HandOffMark(secret))
	if again {
		q.Set(paramAgain, againArrive)
	}
	v.redirect(v.p.portal.Origin + join(handOff, q))
}

// servedLocally reports whether the page is served by this host, and has led to the portal
// where it is not.
func (v *visit) servedLocally() bool {
	if v.p.portal == nil || v.console || slices.Contains(local, v.page()) {
		return true
	}
	v.toPortal()
	return false
}
