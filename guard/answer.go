package guard

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// Refusals renders our answers to people. Package pages implements it; each
// method writes the whole answer, status included.
type Refusals interface {
	// PostLost answers 401 to a form that was not sent on because d asks for
	// something first. next is the address where the person does it.
	PostLost(w http.ResponseWriter, r *http.Request, d mfa.Decision, next string)
	// Refused answers 403 to a page load that d refuses.
	Refused(w http.ResponseWriter, r *http.Request, d mfa.Decision)
	// PlainHTTP answers 403 to a page load over plain http.
	PlainHTTP(w http.ResponseWriter, r *http.Request)
	// Unavailable answers 503: the store cannot be asked now.
	Unavailable(w http.ResponseWriter, r *http.Request)
}

// asker is who waits for an answer (rule B31).
type asker uint8

const (
	program asker = iota // fetch, XHR, API, WebSocket, frames and parts of a page
	person               // a page load: may be redirected
	form                 // a form that is a page load: a redirect would lose it
)

// askerOf tells people from programs. Browsers say it themselves in Sec-Fetch-*;
// where they say nothing, who asks for HTML is a person.
func askerOf(r *http.Request) asker {
	// Proxies that ask us about a request take Upgrade out, and leave the key of a WebSocket.
	if r.Header.Get("Upgrade") != "" || r.Header.Get("Sec-Websocket-Key") != "" || r.Method == http.MethodConnect {
		return program
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	if mode != "" || dest != "" {
		if mode != "navigate" || dest != "document" {
			return program
		}
	} else if !strings.Contains(r.Header.Get("Accept"), "text/html") || r.Header.Get("X-Requested-With") != "" {
		return program
	}
	switch {
	case safe:
		return person
	case r.Method == http.MethodPost && isForm(r.Header.Get("Content-Type")):
		return form
	}
	return program
}

// ForPerson reports whether a person waits for the answer, so that it can be a page.
func ForPerson(r *http.Request) bool { return askerOf(r) != program }

func isForm(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return true
	}
	return false
}

// answer answers a request that may not go on.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request, s *state, d mfa.Decision) {
	if s.view != nil && (d.Action == mfa.Refuse || d.Action == mfa.SetUp || d.Action == mfa.StepUp) {
		// Strangers are counted, not recorded (rule B32).
		reason := d.Action.String() + ":" + string(d.Reason)
		var fresh bool
		if d.ID, fresh = g.decisions.id(string(s.view.Subject.ID)+" "+reason+" "+s.req.Host, g.now()); fresh {
			e := mfa.Event{
				Name: mfa.EventDecision, Reason: reason, Decision: d.ID,
				User: s.view.Subject.ID, UserName: s.view.Subject.Name, Session: s.view.Session.ID.Short(),
				Network: network(s.peer.Client), Host: s.req.Host,
			}
			if token := s.view.Session.AppToken; token != "" {
				e.Session, e.Detail = "", "app token "+token // which is no session
			}
			g.record(r.Context(), e)
		}
		s.decision.ID = d.ID // for logs and traces
	}
	who := askerOf(r)
	if s.view != nil && s.view.Session.AppToken != "" {
		who = program // whatever it says that it reads
	}
	if d.Action == mfa.Refuse {
		if who != program {
			g.refusals.Refused(w, r, d)
			return
		}
		g.problem(w, r, web.Problem{Status: http.StatusForbidden, Title: "Refused", Reason: string(d.Reason), Decision: d.ID})
		return
	}
	switch who {
	case person:
		web.APIHeaders(w.Header(), s.req.HTTPS)
		w.Header().Set("Location", g.where(s, d, s.req.Target))
		w.WriteHeader(http.StatusFound)
	case form:
		g.refusals.PostLost(w, r, d, g.where(s, d, ""))
	default:
		if d.Action == mfa.SignIn && s.tokens {
			g.challenge(w, r, Challenge(d))
		} else {
			w.Header().Set("WWW-Authenticate", Challenge(d))
		}
		g.problem(w, r, web.Problem{
			Status: http.StatusUnauthorized, Title: titles[d.Action], Reason: string(d.Reason), Next: g.where(s, d, ""), Decision: d.ID,
		})
	}
}

var titles = map[mfa.Action]string{
	mfa.SignIn: "Sign in first", mfa.Verify: "2-step verification is needed",
	mfa.SetUp: "2-step verification must be set up", mfa.StepUp: "A newer or stronger verification is needed",
}

// Next returns where the person goes to mend it where there is no portal: a path on this
// host, with the way back and, as hints, what the route asks.
func Next(d mfa.Decision, target string) string {
	q := needs(d)
	if back, ok := web.ReturnAddress(target); ok && back != "/" {
		q.Set("rd", back)
	}
	return withQuery(nextPage(d), q)
}

// nextPage is the page that does what the decision asks.
func nextPage(d mfa.Decision) string {
	switch d.Action {
	case mfa.SignIn:
		return web.Prefix + "sign-in"
	case mfa.SetUp:
		return web.Prefix + "set-up"
	}
	return web.Prefix + "verify"
}

// needs are the hints of what the route asks.
func needs(d mfa.Decision) url.Values {
	q := url.Values{}
	if d.Need.Required {
		q.Set("req", "1")
	}
	if d.Need.Fresh > 0 {
		q.Set("max_age", strconv.Itoa(int(d.Need.Fresh.Seconds())))
	}
	if list := d.Need.Factors.String(); list != "" {
		q.Set("factors", list)
	}
	if d.Need.PhishingResistant {
		q.Set("phr", "1")
	}
	return q
}

func withQuery(page string, q url.Values) string {
	if len(q) == 0 {
		return page
	}
	return page + "?" + q.Encode()
}

// Challenge says to programs what is missing, in the words of RFC 9470 where the
// user is known and only the proof is too old or too weak.
func Challenge(d mfa.Decision) string {
	if d.Action == mfa.SignIn {
		return `Bearer realm="secondgate"`
	}
	c := `Bearer error="insufficient_user_authentication", error_description="` + titles[d.Action] + `"`
	if d.Need.PhishingResistant {
		c += `, acr_values="phr"`
	}
	if d.Need.Fresh > 0 {
		c += `, max_age="` + strconv.Itoa(int(d.Need.Fresh.Seconds())) + `"`
	}
	return c
}

// Reject answers a request that Parse refused with err.
func (g *Guard) Reject(w http.ResponseWriter, r *http.Request, err error) {
	w = Plain(w)
	const allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	switch {
	case errors.Is(err, ErrOptions):
		web.APIHeaders(w.Header(), g.https(r))
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrMethod):
		w.Header().Set("Allow", allow)
		g.problem(w, r, web.Problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed"})
	case errors.Is(err, ErrTooEarly):
		g.problem(w, r, web.Problem{Status: http.StatusTooEarly, Title: "Send this again after the handshake"})
	case errors.Is(err, ErrPlainHTTP) && askerOf(r) != program:
		g.refusals.PlainHTTP(w, r)
	case errors.Is(err, ErrPlainHTTP):
		g.problem(w, r, web.Problem{Status: http.StatusForbidden, Title: "Plain http is refused", Reason: string(mfa.ReasonPlainHTTP)})
	default:
		g.problem(w, r, web.Problem{Status: http.StatusBadRequest, Title: "Malformed request"})
	}
}

// unavailable answers while the store cannot be asked.
func (g *Guard) unavailable(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "5")
	if askerOf(r) != program {
		g.refusals.Unavailable(w, r)
		return
	}
	g.problem(w, r, web.Problem{Status: http.StatusServiceUnavailable, Title: "Try again in a moment"})
}

func (g *Guard) problem(w http.ResponseWriter, r *http.Request, p web.Problem) {
	web.WriteProblem(w, g.https(r), p)
}

func (g *Guard) https(r *http.Request) bool {
	if s := stateOf(r.Context()); s != nil && s.parsed && s.fault == nil {
		return s.req.HTTPS
	}
	return https(g.peerOf(r))
}

// plainRefusals answers people where nobody renders pages.
type plainRefusals struct{}

func (plainRefusals) PostLost(w http.ResponseWriter, _ *http.Request, d mfa.Decision, next string) {
	plainText(w, http.StatusUnauthorized, "Your form was not sent. "+titles[d.Action]+": open "+next+", go back, and send it again.")
}

func (plainRefusals) Refused(w http.ResponseWriter, _ *http.Request, d mfa.Decision) {
	text := "You may not open this page: " + string(d.Reason) + "."
	if d.ID != "" {
		text += " Your administrator can look up decision " + d.ID + "."
	}
	plainText(w, http.StatusForbidden, text)
}

func (plainRefusals) PlainHTTP(w http.ResponseWriter, _ *http.Request) {
	plainText(w, http.StatusForbidden, "This address is served over https only.")
}

func (plainRefusals) Unavailable(w http.ResponseWriter, _ *http.Request) {
	plainText(w, http.StatusServiceUnavailable, "Try again in a moment.")
}

func plainText(w http.ResponseWriter, status int, text string) {
	web.APIHeaders(w.Header(), false)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // nobody is left to tell when the client went away
}
