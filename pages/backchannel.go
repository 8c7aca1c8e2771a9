package pages

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// callBackChannel takes a message in which an identity source says that a session of it
// has ended (OpenID Connect Back-Channel Logout 1.0, §2.5 and §2.8). The source itself
// calls: it has no cookie and no token of a form, and what it says is believed for its
// signature alone.
func (p *Pages) callBackChannel(v *visit) {
	token, ok := v.logoutToken()
	var err error
	if ok {
		err = p.gate.SourceSignedOut(v.r.Context(), &v.at, v.source.Name, token)
	}
	web.APIHeaders(v.w.Header(), v.req.HTTPS)
	switch {
	case ok && err == nil:
		v.w.WriteHeader(http.StatusOK)
		return
	case !ok, errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrNotAllowed):
		v.refuseCall("invalid_request")
	default:
		// The specification has the same status for it, and another word.
		v.fault(err)
		v.refuseCall("server_error")
	}
}

// logoutToken returns the one token of the message. The body is capped by then.
func (v *visit) logoutToken() (string, bool) {
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || len(v.r.Header["Content-Type"]) != 1 || v.r.ParseForm() != nil {
		return "", false
	}
	tokens := v.r.PostForm["logout_token"]
	return v.r.PostForm.Get("logout_token"), len(tokens) == 1 && tokens[0] != ""
}

func (v *visit) refuseCall(word string) {
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(http.StatusBadRequest)
	// Nobody is left to tell when the client went away.
	_ = json.NewEncoder(v.w).Encode(map[string]string{"error": word})
}
