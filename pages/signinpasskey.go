package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

// beginSignInPasskey starts a sign-in with whatever passkey the browser holds
// (rule B28). Nobody is known yet, and the answer is the same for everybody.
func (p *Pages) beginSignInPasskey(v *visit) {
	c, err := p.gate.BeginPasskeySignIn(v.r.Context(), &v.at)
	v.begun(c, err, v.signInPasskeyFailed)
}

// finishSignInPasskey signs in whose passkey answered.
func (p *Pages) finishSignInPasskey(v *visit) {
	in, ok := v.answer()
	if !ok {
		return
	}
	// As replaces, for the script.
	view, err := v.session()
	switch {
	case err == nil:
		v.at.Replaces = view.Session.ID
	case !errors.Is(err, mfa.ErrNoSession):
		v.signInPasskeyFailed(err)
		return
	}
	out, err := p.gate.FinishPasskeySignIn(v.r.Context(), &v.at, in.ID, in.Answer)
	v.finished(out, err, v.signInPasskeyFailed)
}

func (v *visit) signInPasskeyFailed(err error) {
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled):
		// Of the network: nobody is known yet.
		v.refuseJSON(http.StatusTooManyRequests, v.T("throttled", "time", v.duration(throttled.RetryAfter)))
	case errors.Is(err, mfa.ErrNotAllowed):
		v.refuseJSON(http.StatusForbidden, v.T("passkey.insecure"))
	case errors.Is(err, mfa.ErrCloned):
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.cloned", "support", v.helper()))
	case errors.Is(err, mfa.ErrExpired):
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.late"))
	case errors.Is(err, mfa.ErrRejected):
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.rejected.get"))
	default:
		v.passkeyFailed(err)
	}
}
