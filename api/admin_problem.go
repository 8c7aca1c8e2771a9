package api

import (
	"errors"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// adminDocs is where problems of administrators are explained, under their reasons.
const adminDocs = "https://github.com/secondgate/secondgate/blob/main/docs/api.md#"

// wordedError is an error that has its own words, because it needs others than the same
// error elsewhere, or says more.
type wordedError struct {
	text
	field     string // of the body, or of the query
	challenge string // of the header WWW-Authenticate
	err       error
}

func (e *wordedError) Error() string {
	if e.err == nil {
		return e.reason
	}
	return e.reason + ": " + e.err.Error()
}

func (e *wordedError) problem() web.Problem {
	p := e.text.problem()
	p.Type, p.Field = adminDocs+e.reason, e.field
	return p
}

func (e *wordedError) Unwrap() error { return e.err }

// Why a request does not come as far as the administration.
var (
	errKey = &wordedError{
		text:      text{401, "key", "This key opens nothing", "It may be mistyped, expired or revoked, or who made it has lost their role. Make a new one."},
		challenge: `Bearer realm="secondgate", error="invalid_token"`,
	}
	errKeyInURL = &wordedError{text: text{
		400, "key_in_url", "A key must not stand in an address", "Addresses are kept in logs: revoke that key, make a new one, and send it in the header \"Authorization: Bearer\".",
	}}
	errNoRole     = &wordedError{text: text{403, "no_role", "This user administrates nothing here", "Ask an administrator for a role."}}
	errConfigured = &wordedError{text: text{409, "configured", "The configuration says so, and alone can change it", "Change it there."}}
	errHeadOnly   = errors.New("only the head was asked for")
)

func (e *paramError) worded() *wordedError {
	return &wordedError{text{400, "query", "A parameter of the query is unknown or wrong", "Look the parameters up in /.mfa/api/openapi.json."}, e.name, "", e}
}

// adminTexts are the answers where administrators need other words than people who look
// after their own account.
var adminTexts = []struct {
	err error
	text
}{
	{mfa.ErrSelf, text{403, "self", "Nobody does that to their own account here", "Use the account page, or ask another administrator."}},
	{mfa.ErrRole, text{403, "role", "It takes an administrator of the whole gateway", "Ask one: the user has a role, or is a member of other organizations too."}},
	{mfa.ErrNotAllowed, text{403, "not_allowed", "This role, or the scopes of this key, do not reach that far", "GET /.mfa/api/admin says what may be done."}},
	{mfa.ErrLastAdministrator, text{409, "last_administrator", "Nobody would be left who can administrate", "Make somebody else an administrator first."}},
	{mfa.ErrNameTaken, text{409, "name_taken", "The user name belongs to somebody", "Take another one; for a new password, make a password link."}},
	{mfa.ErrLimit, text{409, "limit", "There are as many as there may be, or it is longer than it may be", "Remove some first."}},
	{mfa.ErrCursor, text{400, "cursor", "The cursor is none of this list", "Begin at the first page, and send with each cursor what was sent for the page before."}},
	{mfa.ErrNotFound, text{404, "not_found", "This is not there, or not for this administrator to see", "Read the list: it has what is there."}},
	{mfa.ErrName, text{422, "name", "This cannot be taken as a name or an address", "Check the spelling and the length, and send it again."}},
}

// adminError says to an administrator what went wrong; nil is nil.
func (c *call) adminError(err error) error {
	var (
		organization *mfa.OrganizationError
		policy       *mfa.PolicyError
		lockout      *mfa.LockoutError
		campaign     *mfa.CampaignError
		throttled    *mfa.ThrottledError
		route        *mfa.RouteError
	)
	switch {
	case err == nil, errors.As(err, &throttled):
		return err
	case c.admin == nil && c.byKey && errors.Is(err, mfa.ErrRejected):
		return errKey
	case errors.As(err, &lockout):
		return &wordedError{text{409, "lockout", "No administrator could still sign in", lockout.Error() + " To do it all the same, send \"force\": true."}, "", "", err}
	case errors.As(err, &organization):
		return &wordedError{text{422, "organization", "This cannot be an organization", wordsOf(organization.Error())}, fieldIn(organization.Error()), "", err}
	case errors.As(err, &policy):
		return &wordedError{text{422, "policy", "The policy cannot be this", wordsOf(policy.Error())}, "", "", err}
	case errors.As(err, &route):
		return routeProblem(route)
	case errors.As(err, &campaign):
		return &wordedError{text{422, "campaign", "The campaign cannot be this", wordsOf(campaign.Error())}, campaignField(campaign.Error()), "", err}
	}
	for _, t := range adminTexts {
		if errors.Is(err, t.err) {
			w := &wordedError{t.text, "", "", err}
			if c.byKey && errors.Is(err, mfa.ErrNotAllowed) {
				w.challenge = `Bearer realm="secondgate", error="insufficient_scope"`
			}
			return w
		}
	}
	return err
}

// wordsOf returns what the core says of a mistake, unless it repeats what was sent, which
// it does in quotes (AC-133).
func wordsOf(s string) string {
	if strings.Contains(s, `"`) {
		return "What was sent cannot stand there; docs/configuration.md has what can."
	}
	return s
}

// fieldIn returns the member that the core names before the colon.
func fieldIn(s string) string {
	name, _, ok := strings.Cut(s, ":")
	if !ok {
		return ""
	}
	return plainName(name)
}

// campaignField is fieldIn where the member is called otherwise here, because it is said
// in seconds.
func campaignField(s string) string {
	if name := fieldIn(s); name != "remind" {
		return name
	}
	return "remind_before"
}

// orOwedToAdministrate finds out why somebody who is signed in does not administrate.
func (c *call) orOwedToAdministrate(id mfa.SessionID, err error) error {
	switch {
	case errors.Is(err, mfa.ErrNotOwed):
		return errNoRole
	case !errors.Is(err, mfa.ErrNotAllowed):
		return err
	}
	need := c.at
	need.Asked = mfa.Requirement{Required: true}
	st, stateErr := c.api.gate.State(c.r.Context(), &need, id)
	switch {
	case stateErr != nil:
		return stateErr
	case st.Decision.Action != mfa.Allow:
		return &owedError{st.Decision}
	}
	return err
}

// proofLife is how old a proof may be with which something is changed here.
func (c *call) proofLife() time.Duration {
	if strings.HasPrefix(c.req.Path, Root+"admin") {
		return mfa.AdminProofLife
	}
	return mfa.ProofLife
}
