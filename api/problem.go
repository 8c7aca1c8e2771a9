package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// docs is where each problem is explained, under its reason.
const docs = "https://github.com/secondgate/secondgate/blob/main/docs/programs.md#"

// Why a request does not come as far as the core.
var (
	errNoRoute      = errors.New("no such resource")
	errMethod       = errors.New("method not allowed")
	errCrossOrigin  = errors.New("request from another origin")
	errContentType  = errors.New("content type not accepted")
	errTooLarge     = errors.New("body too large")
	errBody         = errors.New("body is not the JSON that is taken here")
	errUnknownField = errors.New("unknown member in the body")
	errQuery        = errors.New("query cannot be read")
	errTaken        = errors.New("the address is another account's")
	errHeld         = errors.New("the address is a factor already, or the session went on")
)

// fieldError says which member of the body is wrong, in one word.
type fieldError struct{ field, reason string }

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// unknownFieldError names the member that is not taken, as far as it looks like one.
type unknownFieldError struct{ field string }

func (e *unknownFieldError) Error() string { return errUnknownField.Error() + " " + e.field }

func (e *unknownFieldError) Unwrap() error { return errUnknownField }

// owedError says that the session owes something before what was asked for.
type owedError struct{ decision mfa.Decision }

func (e *owedError) Error() string { return "owed first: " + e.decision.Action.String() }

// text is what an answer says of an error that carries nothing with it.
type text struct {
	status                int
	reason, title, detail string
}

// texts are the answers to the sentinels, in the order in which they are looked for: one
// that wraps another comes before it. What a request held is in none of them (AC-133).
var texts = []struct {
	err error
	text
}{
	{errNoRoute, text{404, "no_such_resource", "There is nothing at this address", "Look the address up in /.mfa/api/openapi.json."}},
	{errMethod, text{405, "method", "This cannot be done with this resource", "The header Allow lists what can."}},
	{errCrossOrigin, text{403, "cross_origin", "The request comes from another origin", "Only pages of this very origin may ask. Send the request from one of them."}},
	{errContentType, text{415, "content_type", "The body must be JSON", "Send the header \"Content-Type: application/json\", also with the empty body {}."}},
	{errTooLarge, text{413, "too_large", "The body is too large", "Send at most 64 KiB."}},
	{errBody, text{400, "body", "The body cannot be read", "Send one JSON object, as /.mfa/api/openapi.json describes it."}},
	{errUnknownField, text{400, "unknown_field", "The body has a member that is not taken here", "Send only the members that /.mfa/api/openapi.json names for this request."}},
	{errQuery, text{400, "query", "The query cannot be read", "Look the parameters up in /.mfa/api/openapi.json."}},
	{errTaken, text{409, "taken", "This address belongs to another account", "Use another one."}},
	{errHeld, text{409, "held", "This address is there already", "Use another address. If it is not among the factors, read the account again and try once more."}},

	{mfa.ErrNotFound, text{404, "not_found", "This is not there (any more)", "Read the account again: it lists what is there."}},
	{mfa.ErrLastFactor, text{409, "last_factor", "The last factor stays while one is required", "Add another one first, then remove this one."}},
	{mfa.ErrLimit, text{409, "limit", "There are as many of this kind as there may be", "Remove one first."}},
	{mfa.ErrNotOwed, text{409, "conflict", "Something else was faster", "Read the account again, and go on from what it says."}},
	{mfa.ErrExpired, text{409, "expired", "What was begun is over", "Begin again."}},
	{mfa.ErrNoFactor, text{409, "no_factor", "There is no second factor to prove", "Set one up first, and prove it."}},
	{mfa.ErrEnrollmentClosed, text{403, "enrollment_closed", "The first factor needs an administrator", "Ask your administrator for an enrolment pass, and use it on the set-up page."}},
	{mfa.ErrConfirmFirst, text{403, "confirm_first", "The first factor needs a code to the address on file", "Open the set-up page: it sends the code."}},
	{mfa.ErrNotAllowed, text{403, "not_allowed", "The policy does not allow this", "Ask your administrator."}},
	{mfa.ErrDisabled, text{403, "disabled", "This user is disabled", "Ask your administrator."}},
	{mfa.ErrName, text{422, "name", "This cannot be taken as a name or an address", "Check the spelling and the length, and send it again."}},
	{mfa.ErrCountry, text{422, "country", "Nothing is sent to numbers of this country", "Use a number of another country, or another kind of factor."}},
	{mfa.ErrCloned, text{422, "cloned", "There may be a copy of this passkey", "Verify with another factor, remove this passkey and set up a new one."}},
	{mfa.ErrRejected, text{422, "rejected", "That was not right, or was used before", "Try again with a new one."}},
	{mfa.ErrNotSent, text{503, "not_sent", "The code could not be sent", "Try again in a moment, or use another factor."}},
	{mfa.ErrInTurn, text{503, "busy", "Another such change is being made", "Try again in a moment."}},
	{mfa.ErrBusy, text{503, "busy", "Too much is going on", "Try again in a moment."}},
}

var unavailable = text{503, "unavailable", "This is not possible now", "Try again in a moment."}

// Unavailable answers a request that Serves where there is no API to ask: the store is
// not open yet.
func Unavailable(w http.ResponseWriter, https bool) {
	p := unavailable.problem()
	p.RetryAfter = 2
	w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	web.WriteProblem(w, https, p)
}

func textOf(err error) (text, bool) {
	for _, t := range texts {
		if errors.Is(err, t.err) {
			return t.text, true
		}
	}
	return unavailable, false
}

func (t text) problem() web.Problem {
	return web.Problem{Type: docs + t.reason, Title: t.title, Status: t.status, Detail: t.detail, Reason: t.reason}
}

// fail answers with what went wrong.
func (c *call) fail(err error) {
	var (
		owed      *owedError
		proof     *mfa.ProofError
		throttled *mfa.ThrottledError
		clock     *mfa.ClockError
		password  *mfa.PasswordError
		field     *fieldError
		unknown   *unknownFieldError
		param     *paramError
		worded    *wordedError
	)
	p := unavailable.problem()
	if errors.As(err, &param) {
		err = param.worded()
	}
	switch {
	case errors.As(err, &worded):
		p = worded.problem()
		if worded.challenge != "" {
			c.w.Header().Set("WWW-Authenticate", worded.challenge)
		}
	case errors.Is(err, mfa.ErrNoSession):
		c.challenge(mfa.Decision{Action: mfa.SignIn, Reason: mfa.ReasonNoSession})
		return
	case errors.As(err, &owed):
		c.owed(owed.decision)
		return
	case errors.As(err, &proof):
		c.proofOwed(proof)
		return
	case errors.As(err, &throttled):
		p = c.throttled(throttled)
	case errors.As(err, &clock):
		p = text{422, "clock", "The clocks differ", "Set the clock of the phone, or of this server, and try the next code."}.problem()
	case errors.As(err, &password):
		p = text{422, "password", "This password is not taken", passwordDetail(password.Rule)}.problem()
		p.Field = "new"
	case errors.As(err, &field):
		p = text{400, field.reason, "A member of the body is missing or wrong", "Send it as /.mfa/api/openapi.json describes it."}.problem()
		p.Field = field.field
	default:
		t, known := textOf(err)
		p = t.problem()
		if errors.As(err, &unknown) {
			p.Field = unknown.field
		}
		if !known && !errors.Is(err, context.Canceled) {
			c.api.logger.ErrorContext(c.r.Context(), "a request of a program", "error", err, "host", c.req.Host)
		}
	}
	switch {
	case errors.Is(err, mfa.ErrConfirmFirst), errors.Is(err, mfa.ErrEnrollmentClosed):
		p.Next = web.Prefix + "set-up"
	case p.Status == http.StatusServiceUnavailable:
		p.RetryAfter = 5
	}
	c.problem(p)
}

func (c *call) problem(p web.Problem) {
	if p.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	web.WriteProblem(c.w, c.req.HTTPS, p)
}

// throttled says when to try again. Whoever is told has proven both factors.
func (c *call) throttled(e *mfa.ThrottledError) web.Problem {
	if e.Locked {
		return text{429, "locked", "There were too many wrong tries", "Use another factor, or ask your administrator to unlock this one."}.problem()
	}
	p := text{429, "throttled", "There were too many tries", "Wait as long as the header Retry-After says, then try again."}.problem()
	p.RetryAfter = max(1, int(math.Ceil(e.RetryAfter.Seconds())))
	return p
}

// proofOwed answers that a change needs a newer proof, or a stronger one (rule B15). Our
// pages take it and lead back to the app: "next" needs "rd", the way back.
func (c *call) proofOwed(e *mfa.ProofError) {
	d := mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld, Kinds: e.Kinds, Need: mfa.Requirement{Fresh: c.proofLife(), Factors: e.Kinds}}
	p := challenges[d.Action].problem()
	next := url.Values{"for": {"app"}}
	page := "verify"
	if e.Kinds == 0 {
		// There is no second factor: the first one is proven again.
		p = text{401, "sign_in_again", "A newer sign-in is needed", challenges[mfa.SignIn].detail}.problem()
		page = "sign-in"
	} else {
		next.Set("prove", e.Kinds.String())
	}
	p.Next, p.Reason = web.Prefix+page+"?"+next.Encode(), string(d.Reason)
	c.answerOwed(d, p)
}

// challenges are the words for what is owed first, by the action.
var challenges = map[mfa.Action]text{
	mfa.SignIn: {401, "no_session", "Sign in first", "Send the person to the address in \"next\"."},
	mfa.Verify: {401, "verify", "2-step verification is needed", "Send the person to the address in \"next\"."},
	mfa.SetUp:  {401, "set_up", "2-step verification must be set up", "Send the person to the address in \"next\"."},
	mfa.StepUp: {401, "step_up", "A newer or stronger verification is needed", "Send the person to the address in \"next\", or verify through /.mfa/api/account/verification, and try again."},
}

// owed answers that d asks for something first, or refuses.
func (c *call) owed(d mfa.Decision) {
	if d.Action == mfa.Refuse || d.Action == mfa.Allow {
		p := text{403, "refused", "Refused", "Ask your administrator."}.problem()
		p.Decision = d.ID
		c.problem(p)
		return
	}
	c.challenge(d)
}

// challenge answers 401 as the guard does for an app: RFC 9470 where the person is known.
func (c *call) challenge(d mfa.Decision) {
	p := challenges[d.Action].problem()
	p.Next, p.Reason = guard.Next(d, ""), string(d.Reason)
	c.answerOwed(d, p)
}

func (c *call) answerOwed(d mfa.Decision, p web.Problem) {
	for _, k := range d.Kinds.List() {
		p.Factors = append(p.Factors, string(k))
	}
	c.w.Header().Set("WWW-Authenticate", guard.Challenge(d))
	c.problem(p)
}

func passwordDetail(rule mfa.PasswordRule) string {
	switch rule {
	case mfa.PasswordTooShort:
		return "It is too short: take a longer one."
	case mfa.PasswordTooLong:
		return "It is too long: take a shorter one."
	case mfa.PasswordCommon:
		return "Too many people use it: take another one."
	case mfa.PasswordHasName:
		return "It has the user name or the name of this site in it: take another one."
	}
	return "It has characters that nobody can type: take another one."
}
