package pages

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

type passkeyPage struct{ setUpFrame }

// The documents that the script and these four addresses exchange.
type (
	passkeyBegun struct {
		ID        string          `json:"id"`
		PublicKey json.RawMessage `json:"publicKey"`
	}
	passkeyAnswer struct {
		ID       string          `json:"id"`
		Answer   json.RawMessage `json:"answer"`
		Remember bool            `json:"remember"`
	}
	passkeyNext struct {
		Next  string `json:"next,omitempty"`  // where to go now: a path on this host
		Error string `json:"error,omitempty"` // what to show
	}
)

func (p *Pages) beginSetUpPasskey(v *visit) {
	id, ok := v.jsonID()
	if !ok {
		return
	}
	c, err := p.gate.BeginPasskey(v.r.Context(), &v.at, id)
	v.begun(c, err, v.setUpPasskeyFailed)
}

func (p *Pages) finishSetUpPasskey(v *visit) {
	id, ok := v.jsonID()
	if !ok {
		return
	}
	in, ok := v.answer()
	if !ok {
		return
	}
	out, err := p.gate.FinishPasskey(v.r.Context(), &v.at, id, in.ID, in.Answer, "")
	v.finished(out, err, v.setUpPasskeyFailed)
}

func (p *Pages) beginVerifyPasskey(v *visit) {
	v.wantProof()
	id, ok := v.jsonID()
	if !ok {
		return
	}
	c, err := p.gate.BeginVerifyPasskey(v.r.Context(), &v.at, id)
	v.begun(c, err, v.verifyPasskeyFailed)
}

func (p *Pages) finishVerifyPasskey(v *visit) {
	v.wantProof()
	id, ok := v.jsonID()
	if !ok {
		return
	}
	in, ok := v.answer()
	if !ok {
		return
	}
	v.remember(in.Remember)
	out, err := p.gate.FinishVerifyPasskey(v.r.Context(), &v.at, id, in.ID, in.Answer)
	v.finished(out, err, v.verifyPasskeyFailed)
}

// jsonID is id for the script, which is told where to go.
func (v *visit) jsonID() (mfa.SessionID, bool) {
	view, err := v.session()
	switch {
	case err == nil:
		return view.Session.ID, true
	case errors.Is(err, mfa.ErrNoSession), errors.Is(err, mfa.ErrExpired):
		v.json(http.StatusUnauthorized, passkeyNext{Next: v.href("sign-in", paramAgain, "late")})
	default:
		v.fault(err)
		v.refuseJSON(http.StatusServiceUnavailable, v.T("unavailable.text"))
	}
	return "", false
}

// answer reads the browser's answer. The cap on the body stands already.
func (v *visit) answer() (passkeyAnswer, bool) {
	var in passkeyAnswer
	body, err := io.ReadAll(v.r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil || in.ID == "" || len(in.Answer) == 0 {
		v.refuseJSON(http.StatusBadRequest, v.T("passkey.fault"))
		return in, false
	}
	return in, true
}

func (v *visit) begun(c *mfa.Ceremony, err error, failed func(error)) {
	if err != nil {
		failed(err)
		return
	}
	var options struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(c.Options, &options); err != nil {
		v.fault(err)
		v.refuseJSON(http.StatusServiceUnavailable, v.T("unavailable.text"))
		return
	}
	v.json(http.StatusOK, passkeyBegun{c.ID, options.PublicKey})
}

func (v *visit) finished(out *mfa.Outcome, err error, failed func(error)) {
	if err != nil {
		failed(err)
		return
	}
	if next, ok := v.follow(out); ok {
		v.json(http.StatusOK, passkeyNext{Next: next})
	}
}

func (v *visit) setUpPasskeyFailed(err error) {
	var proof *mfa.ProofError
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled):
		v.refuseJSON(http.StatusTooManyRequests, v.T("throttled", "time", v.duration(throttled.RetryAfter)))
	case errors.As(err, &proof):
		v.json(http.StatusForbidden, passkeyNext{Next: v.proveFor("set-up/passkey", proof.Kinds)})
	case errors.Is(err, mfa.ErrLimit), errors.Is(err, mfa.ErrNotAllowed), errors.Is(err, mfa.ErrEnrollmentClosed), errors.Is(err, mfa.ErrConfirmFirst):
		v.json(http.StatusForbidden, passkeyNext{Next: v.href("set-up", paramList, "1")})
	case errors.Is(err, mfa.ErrExpired) && v.live():
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.late"))
	case errors.Is(err, mfa.ErrRejected):
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.rejected.create"))
	default:
		v.passkeyFailed(err)
	}
}

func (v *visit) verifyPasskeyFailed(err error) {
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled) && !throttled.Locked:
		v.refuseJSON(http.StatusTooManyRequests, v.T("throttled", "time", v.duration(throttled.RetryAfter)))
	case errors.As(err, &throttled):
		v.refuseJSON(http.StatusTooManyRequests, v.T("locked", "support", v.helper()))
	case errors.Is(err, mfa.ErrNotAllowed):
		v.json(http.StatusForbidden, passkeyNext{Next: v.Href("verify")})
	case errors.Is(err, mfa.ErrCloned):
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.cloned", "support", v.helper()))
	case errors.Is(err, mfa.ErrExpired) && v.live():
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.late"))
	case errors.Is(err, mfa.ErrRejected):
		v.refuseJSON(http.StatusUnprocessableEntity, v.T("passkey.rejected.get"))
	default:
		v.passkeyFailed(err)
	}
}

// passkeyFailed is fail for the script.
func (v *visit) passkeyFailed(err error) {
	switch {
	case errors.Is(err, mfa.ErrNoSession), errors.Is(err, mfa.ErrExpired):
		v.json(http.StatusUnauthorized, passkeyNext{Next: v.href("sign-in", paramAgain, "late")})
	case errors.Is(err, mfa.ErrNotOwed), errors.Is(err, mfa.ErrDisabled):
		v.json(http.StatusConflict, passkeyNext{Next: v.Href("verify")})
	case errors.Is(err, mfa.ErrBusy):
		v.busyHeader()
		v.refuseJSON(http.StatusServiceUnavailable, v.T("busy"))
	default:
		v.fault(err)
		v.refuseJSON(http.StatusServiceUnavailable, v.T("unavailable.text"))
	}
}

func (v *visit) refuseJSON(status int, text string) { v.json(status, passkeyNext{Error: text}) }

func (v *visit) json(status int, document any) {
	h := v.w.Header()
	web.APIHeaders(h, v.req.HTTPS)
	h.Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_ = json.NewEncoder(v.w).Encode(document) // nobody is left to tell when the client went away
}
