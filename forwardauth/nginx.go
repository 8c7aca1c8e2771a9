package forwardauth

import (
	"net"
	"net/http"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// What the answers for nginx say beside the status. nginx passes no body on and makes a
// 500 of every status but 2xx, 401 and 403, so what a person or a program is to be told
// stands in headers, which its configuration reads.
const (
	reasonHeader = "X-Mfa-Reason" // one word
	// decisionHeader is the ID that an administrator can look up.
	decisionHeader = "X-Mfa-Decision"
	// nextHeader is with a 401 where a person can mend it, without the way back, and with a
	// 403 the page where they see who they are.
	nextHeader = "X-Mfa-Next"
)

// nginxWriter turns an answer for a client into one for nginx. "Go there" becomes 401
// with the Location; any refusal becomes 403 with the reason; and nothing that is written
// here can become a permission.
type nginxWriter struct {
	http.ResponseWriter
	target *http.Request
	req    *guard.Request
	guard  *guard.Guard
	portal string
	sent   bool
}

// WriteHeader writes 401 or 403.
func (w *nginxWriter) WriteHeader(status int) {
	if w.sent {
		return
	}
	w.sent = true
	d := guard.DecisionFrom(w.target.Context())
	to, h := http.StatusForbidden, w.Header()
	bad := guard.BadAppToken(w.target.Context())
	switch {
	case bad && status == http.StatusUnauthorized:
		to = status // a program's: no page mends it
	case status == http.StatusFound, status == http.StatusSeeOther, status == http.StatusTemporaryRedirect, status == http.StatusUnauthorized:
		to = http.StatusUnauthorized
		h.Set(nextHeader, w.guard.NextFor(w.req, d, ""))
	default:
		h.Set(nextHeader, w.portal+web.Prefix+"account")
	}
	why := reason(status, d)
	if bad && status == http.StatusUnauthorized {
		why = "invalid_token"
	}
	h.Set(reasonHeader, why)
	if d.ID != "" {
		h.Set(decisionHeader, d.ID)
	}
	h.Del("Content-Type")
	h.Set("Content-Length", "0")
	w.ResponseWriter.WriteHeader(to)
}

// Write leaves out what nginx would throw away.
func (w *nginxWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusForbidden)
	return len(p), nil
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *nginxWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// reason is why, in one word.
func reason(status int, d mfa.Decision) string {
	switch {
	case status == http.StatusServiceUnavailable:
		return "unavailable"
	case status == http.StatusMethodNotAllowed:
		return "method"
	case status == http.StatusTooEarly:
		return "early_data"
	case status == http.StatusTooManyRequests:
		return "too_many"
	case status == http.StatusBadRequest:
		return "malformed"
	case d.Reason != mfa.ReasonNone:
		return string(d.Reason)
	case status == http.StatusForbidden:
		return string(mfa.ReasonPlainHTTP) // the one refusal without a decision
	}
	return "refused"
}

func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	return host
}
