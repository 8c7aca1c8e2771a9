package pages

import (
	"errors"
	"mime"
	"net/http"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// outside makes a visit for an answer on a path that is not ours.
func (p *Pages) outside(w http.ResponseWriter, r *http.Request) *visit {
	w = guard.Plain(w)
	req, err := p.guard.Parse(r)
	if err != nil {
		req = &guard.Request{Place: mfa.Place{Host: r.Host}}
	}
	v := p.visit(w, r, req, false)
	v.rd, v.origin = "", ""
	return v
}

// PostLost answers a form that was not sent on because something is owed first
// (rule B31).
func (p *Pages) PostLost(w http.ResponseWriter, r *http.Request, d mfa.Decision, next string) {
	v := p.outside(w, r)
	text, open := v.T("lost.text"), v.T("go.signin")
	switch d.Action {
	case mfa.Verify, mfa.StepUp:
		text, open = v.T("lost.verify"), v.T("go.verify")
	case mfa.SetUp:
		text, open = v.T("lost.setup"), v.T("go.setup")
	}
	v.message(http.StatusUnauthorized, messagePage{
		Heading: v.T("lost.title"), Text: []string{text, v.T("lost.how")},
		Actions: []action{{Href: next, Label: open}},
	})
}

// Refused answers a page load that the decision refuses.
func (p *Pages) Refused(w http.ResponseWriter, r *http.Request, d mfa.Decision) {
	v := p.outside(w, r)
	// For the name on the page; a refusal needs none.
	_, _ = v.session()
	v.refused(d)
}

// PlainHTTP answers a page load over plain http.
func (p *Pages) PlainHTTP(w http.ResponseWriter, r *http.Request) {
	v := p.outside(w, r)
	v.insecure = true
	v.message(http.StatusForbidden, messagePage{
		Heading: v.T("plain.title"), Text: []string{v.T("plain.text"), v.T("plain.how", "support", v.helper())},
	})
}

// Unavailable answers while the store cannot be asked.
func (p *Pages) Unavailable(w http.ResponseWriter, r *http.Request) {
	p.outside(w, r).unavailable(nil)
}

// refused says which rule refuses, whom to ask, and the ID that an administrator
// can look up (rule B32).
func (v *visit) refused(d mfa.Decision) {
	if d.ID == "" {
		d.ID = v.noted(d.Reason)
	}
	m := messagePage{
		Heading: v.T("refused.title"), Context: true, ID: d.ID,
		Actions: []action{{Href: Root + "account", Label: v.T("go.account")}, {Href: v.Href("sign-out"), Label: v.T("go.signout")}},
	}
	ask := v.T("refused.ask", "support", v.helper())
	switch d.Reason {
	case mfa.ReasonDisabled:
		m.Heading, m.Text = v.T("disabled.title"), []string{v.T("disabled.text"), ask}
		m.Actions = m.Actions[1:]
	case mfa.ReasonCannotBeHere:
		m.Text = []string{v.T("cannot_be_here.text", "place", v.place()), ask}
		if v.at.RPID == "" {
			m.Text[0] = v.T("cannot_be_here.passkey", "place", v.place())
		}
	case mfa.ReasonNotMember:
		// Whether there is such an organization, and which, is nobody's business who is
		// not in it (rule B5).
		m.Text = []string{v.T("not_member.text", "place", v.place()), v.T("not_member.ask", "support", v.helper())}
	case mfa.ReasonNotEstablished:
		// There is no session to look at or to end.
		m.Text, m.Actions = []string{v.T("not_established.text", "place", v.req.Place.Host), v.T("not_established.how", "place", v.req.Place.Host, "support", v.helper())}, nil
	case mfa.ReasonSameChannel:
		m.Heading, m.Text = v.T("same_channel.title"), []string{v.T("same_channel.text"), v.T("same_channel.how", "support", v.helper())}
		m.Actions = []action{{Href: v.Href("sign-out"), Label: v.T("verify.use_password")}}
	case mfa.ReasonUnknownHost:
		m.Text, m.Actions = []string{v.T("unknown_host.text", "place", v.req.Place.Host), ask}, nil
	default:
		m.Text = []string{v.T("refused.text", "place", v.place())}
		if why := v.because(d.Reason); why != "" {
			m.Text = append(m.Text, why)
		}
		m.Text = append(m.Text, ask)
	}
	v.message(http.StatusForbidden, m)
}

// because says the rule behind a refusal in the person's language: what "explain" says to
// administrators, without what is not theirs to see (rules B5, B32). Empty: there is none.
func (v *visit) because(why mfa.Reason) string {
	if why == mfa.ReasonNone || v.words.texts[becauseWords+string(why)] == "" {
		return ""
	}
	return v.T(becauseWords + string(why))
}

// becauseWords begin the names of the words for each reason.
const becauseWords = "because."

// noted records that this page says no to somebody who is known, and returns the
// ID that it shows.
func (v *visit) noted(why mfa.Reason) string {
	if v.view == nil {
		return ""
	}
	return v.p.gate.NoteRefusal(v.r.Context(), &v.at, v.view.Session, v.view.Subject, why)
}

func (v *visit) notFound() {
	v.message(http.StatusNotFound, messagePage{
		Heading: v.T("missing.title"), Text: []string{v.T("missing.text")},
		Actions: []action{{Href: Root, Label: v.T("go.start")}},
	})
}

// cookieLost answers a browser that did not keep the cookie of the step before.
func (v *visit) cookieLost() {
	v.message(http.StatusForbidden, messagePage{
		Heading: v.T("cookie.title"), Text: []string{v.T("cookie.text", "place", v.req.Place.Host), v.T("cookie.how")},
		Actions: []action{{Href: v.Href("sign-in"), Label: v.T("cookie.again")}},
	})
}

// fault logs what only an operator can mend. No error here holds a secret: the
// core and the stores see to that.
func (v *visit) fault(err error) {
	if err != nil {
		v.p.logger.ErrorContext(v.r.Context(), "a page could not be served", "page", v.page(), "error", err)
	}
}

// busy answers what was not begun because of what others do at the moment.
func (v *visit) busy(err error) {
	m := messagePage{
		Heading: v.T("busy.title"), Text: []string{v.T("busy")},
		Actions: []action{{Href: v.again(), Label: v.T("try_again")}},
	}
	if errors.Is(err, mfa.ErrInTurn) {
		m.Heading, m.Text = v.T("in_turn.title"), []string{v.T("in_turn")}
	}
	v.busyHeader()
	v.message(http.StatusServiceUnavailable, m)
}

// unavailable answers a fault of ours. The cause goes to the log and nowhere
// else; nil: whoever found it has logged it.
func (v *visit) unavailable(err error) {
	v.fault(err)
	v.busyHeader()
	v.message(http.StatusServiceUnavailable, messagePage{
		Heading: v.T("unavailable.title"), Text: []string{v.T("unavailable.text"), v.T("unavailable.ask", "support", v.helper())},
		Actions: []action{{Href: v.again(), Label: v.T("try_again")}},
		// A fault of this page alone would come back as soon as it came again. A store that
		// does not answer is none.
		Reload: err == nil && v.r.Method == http.MethodGet,
	})
}

// again is the address of this page as a GET, or of the start.
func (v *visit) again() string {
	if to := v.consoleAddress(); to != "" {
		return Root + to
	}
	if v.source.Name != "" {
		return v.href("sign-in", paramAgain, againOther)
	}
	if rt, ok := v.p.routes[v.page()]; ok && rt.get != nil && Serves(v.req.Path) {
		return v.Here()
	}
	if to, ok := web.ReturnAddress(v.req.Target); ok && (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead) {
		return to
	}
	return Root
}

// kind names a factor.
func (v *visit) kind(k mfa.Kind) string {
	switch k {
	case mfa.Passkey:
		return v.T("kind.passkey")
	case mfa.TOTP:
		return v.T("kind.totp")
	case mfa.SMS:
		return v.T("kind.sms")
	case mfa.Email:
		return v.T("kind.email")
	case mfa.BackupCode:
		return v.T("kind.backup_code")
	case mfa.Redirected, mfa.Claimed:
		return v.T("kind.elsewhere")
	case mfa.Provided:
		return v.T("kind.provided")
	}
	return v.T("kind.unknown")
}

// kindWhat says what a factor is, on a list of what can be set up.
func (v *visit) kindWhat(k mfa.Kind) string {
	switch k {
	case mfa.Passkey:
		return v.T("kind.passkey.what")
	case mfa.TOTP:
		return v.T("kind.totp.what")
	case mfa.BackupCode:
		return v.T("kind.backup_code.what")
	case mfa.Email:
		return v.T("kind.email.what")
	case mfa.SMS:
		return v.T("kind.sms.what")
	}
	return ""
}

// methodWhat says what a method is, on a list of what to verify with.
func (v *visit) methodWhat(m mfa.Method) string {
	switch m.Kind {
	case mfa.TOTP:
		return v.T("method.totp.what")
	case mfa.BackupCode:
		if m.Left <= fewCodes {
			return v.words.count("codes.left", m.Left)
		}
	case mfa.Email, mfa.SMS:
		return "" // where the code goes says enough
	}
	return v.kindWhat(m.Kind)
}

// why says why a factor cannot be used or set up, and what helps.
func (v *visit) why(reason mfa.Reason, hint string, wait time.Duration) string {
	switch reason {
	case mfa.ReasonPlainHTTP:
		return v.T("why.plain_http")
	case mfa.ReasonIPAddress:
		return v.T("why.ip_address")
	case mfa.ReasonOtherHost:
		return v.T("why.other_host", "place", hint)
	case mfa.ReasonLimit:
		return v.T("why.limit")
	case mfa.ReasonLocked:
		if wait > 0 {
			return v.T("why.wait", "time", v.duration(wait))
		}
		return v.T("why.locked", "support", v.helper())
	case mfa.ReasonNoSender:
		return v.T("why.no_sender")
	case mfa.ReasonSameChannel:
		return v.T("why.same_channel")
	}
	return v.T("why.not_here")
}

// day writes a date.
func (v *visit) day(t time.Time) string { return t.Format(v.T("format.date")) }

// since says how long ago something was, in days.
func (v *visit) since(t time.Time) string {
	now := v.p.now()
	days := int(now.Sub(t) / (24 * time.Hour))
	switch {
	case now.Sub(t) < time.Hour:
		return v.T("since.now")
	case days < 1:
		return v.words.count("since.hour", int(now.Sub(t)/time.Hour))
	case days < 31:
		return v.words.count("since.day", days)
	}
	return v.T("since.date", "date", v.day(t))
}

// sendText answers with a text file to keep.
func (v *visit) sendText(text, name string) {
	h := v.w.Header()
	web.APIHeaders(h, v.req.HTTPS)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	v.w.WriteHeader(http.StatusOK)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write([]byte(text)) // nobody is left to tell when the client went away
	}
}
