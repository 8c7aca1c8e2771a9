package pages

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// maxAnswer is the longest query that an identity source sends a browser back with.
const maxAnswer = 8 << 10

// serveSignInWith takes the person to an identity source where they sign in themselves. It
// is a GET, because a form of ours leads to no other origin (form-action). Another site
// can begin one, too: it ends as whom the person is at the source, in their own browser.
func (p *Pages) serveSignInWith(v *visit) {
	if !v.stranger() {
		return
	}
	if !v.navigates() {
		v.lookedAt()
		return
	}
	out, err := p.gate.BeginRedirect(v.r.Context(), &v.at, mfa.RedirectInput{
		Source:   v.source.Name,
		Callback: v.at.Origin + Root + withSource + v.source.Name + "/callback",
		Browser:  p.guard.Redirect(v.r, v.req),
		Carry:    v.carriedThere(),
		// A page of ours waits for a newer proof: being signed in there is none.
		Again: v.want != "",
	})
	if err == nil {
		err = elsewhere(out.Location)
	}
	if err != nil {
		v.sourceFailed(v.source, err)
		return
	}
	p.guard.SetRedirect(v.w, v.req, out.Browser)
	v.redirect(out.Location)
}

// maxCarried is how much may travel along to another place and back.
const maxCarried = 4 << 10

// carriedThere is what travels along. An address to return to that is too long for it is
// left behind: the person gets in, and begins at the start.
func (v *visit) carriedThere() string {
	q := v.carried()
	if encoded := q.Encode(); len(encoded) <= maxCarried {
		return encoded
	}
	q.Del(paramReturn)
	return q.Encode()
}

// elsewhere returns an error where the address is no web page of another place.
func elsewhere(location string) error {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("the identity source names no web address to go to")
	}
	return nil
}

// serveCallback takes the answer with which an identity source sends the browser back.
// What travels along was kept by the Gate, bound to the start: the address that the
// browser comes back with decides nothing of it (AC-041).
func (p *Pages) serveCallback(v *visit) {
	v.secretly = true // a code stands in it
	answer := v.query
	v.query = url.Values{}
	v.carry("")
	if !v.navigates() {
		v.lookedAt()
		return
	}
	if !v.replaces() {
		return
	}
	browser := p.guard.Redirect(v.r, v.req)
	if browser == "" || len(v.r.URL.RawQuery) > maxAnswer {
		v.sourceFailed(v.source, mfa.ErrExpired)
		return
	}
	out, carried, err := p.gate.FinishRedirect(v.r.Context(), &v.at, v.source.Name, browser, answer)
	v.carry(carried)
	if err != nil {
		v.sourceFailed(v.source, err)
		return
	}
	v.proceed(out)
}

// carry takes up what travelled along to another place. It is read like any address.
func (v *visit) carry(carried string) {
	q, err := url.ParseQuery(carried)
	if err != nil {
		q = url.Values{}
	}
	v.read(q)
}

// lookedAt answers who asks for a step of a sign-in without going there: a HEAD, or a
// browser that fetches ahead. What can be used once is not used for that. A browser takes
// no answer for good that says so.
func (v *visit) lookedAt() {
	web.APIHeaders(v.w.Header(), v.req.HTTPS)
	if v.r.Method == http.MethodHead {
		v.w.WriteHeader(http.StatusOK)
		return
	}
	v.busyHeader()
	v.w.WriteHeader(http.StatusServiceUnavailable)
}
